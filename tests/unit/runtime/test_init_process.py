"""What a process is to be, read from config.json before anything is done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime.init_errors import StartError
from wherry.runtime.init_exec_find import read_arguments, read_environment, with_home
from wherry.runtime.init_process_identity import given as given_identity
from wherry.runtime.init_process_limits import Limits
from wherry.runtime.users import Identity


@given(st.lists(st.text(alphabet="ABH=\0xé\udc80", max_size=6)))
def test_any_list_is_an_environment_or_refused(entries: list[str]):
    """Every variable once, with its last value; the order is that of their first."""
    try:
        found = read_environment(entries)
    except StartError:
        assert any("=" not in entry or entry.startswith("=") or "\0" in entry for entry in entries)
        return
    pairs = [entry.encode("utf-8", "surrogateescape").partition(b"=") for entry in entries]
    assert found == {name: value for name, _, value in pairs}
    assert list(found) == list(dict.fromkeys(name for name, _, _ in pairs))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], ["HOME=/h"]),
        (["A=1", "HOME="], ["A=1", "HOME=/h"]),
        (["HOME=/x", "A=1"], ["HOME=/x", "A=1"]),
        (["HOMER=/x"], ["HOMER=/x", "HOME=/h"]),
    ],
)
def test_home_when_it_is_missing_or_empty(entries: list[str], expected: list[str]):
    assert with_home(entries, "/h") == expected


def test_arguments_end_at_no_null():
    """execve(2) would cut them there."""
    assert read_arguments(["a", "", "\udc80"]) == [b"a", b"", b"\x80"]
    with pytest.raises(StartError, match=r'^exec "b\\x00c": invalid argument$'):
        read_arguments(["a", "b\0c"])


@given(
    st.integers(0, 2**33),
    st.integers(0, 2**33),
    st.lists(st.integers(0, 2**33), max_size=4),
    st.binary(max_size=60),
)
def test_ids_are_those_given_or_refused(uid: int, gid: int, groups: list[int], passwd: bytes):
    """Whatever the image's passwd says, and none that setresuid(2) would take for "no change"."""
    spec = {"user": {"uid": uid, "gid": gid, "additionalGids": groups}}
    try:
        found = given_identity(spec, passwd)
    except StartError:
        assert max(uid, gid, *groups) >= 2**32 - 1
        return
    assert max(uid, gid, *groups) < 2**32 - 1
    assert (found.uid, found.gid, found.groups) == (uid, gid, tuple(dict.fromkeys(groups)))


def test_no_user_is_root():
    """The specification requires the object; runc lets it be left out."""
    assert given_identity({}, b"") == Identity(0, 0, (), "/")


def limits(**process: object) -> Limits:
    return Limits(process, {}, is_exec=True, user_namespace=False)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("", set()), ("0", {0}), ("0-2,7", {0, 1, 2, 7}), (" 1 , 3 ", {1, 3}), ("65536", {65536})],
)
def test_sets_of_processors(text: str, cpus: set[int]):
    assert limits(execCPUAffinity={"final": text})._final_cpus == cpus


@pytest.mark.parametrize("text", ["x", "1-", "-1", "2-1", "1,,2", "0-99999999", "٣", "1-2-3"])
def test_what_is_no_set_of_processors(text: str):
    """Bounded, so that a range costs no memory."""
    with pytest.raises(StartError, match=r"^bad CPUAffinity\.Initial: "):
        limits(execCPUAffinity={"initial": text})


def test_the_processors_are_an_execs():
    """A container's first process is placed by its cgroup."""
    process = {"execCPUAffinity": {"final": "nonsense"}}
    assert Limits(process, {}, is_exec=False, user_namespace=False)._final_cpus == set()


def test_infinity_in_every_spelling():
    """2⁶⁴-1 by JSON, -1 by Docker; and the largest number below."""
    given_limits = [
        {"type": "RLIMIT_CPU", "soft": 2**63, "hard": 2**64 - 1},
        {"type": "RLIMIT_AS", "soft": 1, "hard": -1},
    ]
    assert limits(rlimits=given_limits)._rlimits == {0: (-(2**63), -1), 9: (1, -1)}
