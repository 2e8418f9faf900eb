"""``linux.seccomp`` of config.json (runtime-spec, config-linux): what it means, and what makes no sense."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.bpf import X86, run
from wherry.linux import libseccomp, seccomp_cache
from wherry.linux.seccomp import SeccompError, compile_oci, read_oci
from wherry.linux.seccomp_rules import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS, load_flags

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86_64")

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
SOURCE = Path(__file__).parents[3] / "src"


def number(name: str, arch: int | None = None) -> int:
    found = libseccomp.syscall(name, arch)
    assert found is not None
    return found


def rule(*names: str, action: str = "SCMP_ACT_ERRNO", **further: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **further}


def profile(*rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **further: Any) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": list(rules), **further}


@pytest.mark.parametrize(
    ("action", "errno", "answer"),
    [
        ("SCMP_ACT_KILL", None, 0),
        ("SCMP_ACT_KILL_THREAD", None, 0),
        ("SCMP_ACT_KILL_PROCESS", None, 0x80000000),
        ("SCMP_ACT_TRAP", None, 0x00030000),
        ("SCMP_ACT_ERRNO", None, EPERM),
        ("SCMP_ACT_ERRNO", 13, 0x0005000D),
        ("SCMP_ACT_ERRNO", 0, 0x00050000),
        ("SCMP_ACT_TRACE", None, 0x7FF00001),
        ("SCMP_ACT_TRACE", 7, 0x7FF00007),
        ("SCMP_ACT_LOG", None, 0x7FFC0000),
        ("SCMP_ACT_NOTIFY", None, 0x7FC00000),
        ("SCMP_ACT_ALLOW", None, ALLOW),
    ],
)
def test_each_action(action: str, errno: int | None, answer: int) -> None:
    """As the action of a rule, and, but for NOTIFY, as the default one."""
    further = {"listenerPath": "/agent"}
    program = compile_oci(profile(rule("mkdir", action=action, errnoRet=errno), **further))
    assert run(program, number("mkdir")) == answer
    assert run(program, number("read")) == ALLOW
    if action != "SCMP_ACT_NOTIFY":
        only = rule("read", action="SCMP_ACT_LOG" if action == "SCMP_ACT_ALLOW" else "SCMP_ACT_ALLOW")
        assert run(compile_oci(profile(only, default=action, defaultErrnoRet=errno)), number("getpid")) in (
            answer,
            ENOSYS,
        )


@pytest.mark.parametrize(
    ("op", "value", "value_two", "hits", "misses"),
    [
        ("SCMP_CMP_NE", 5, 0, (4, 6), (5,)),
        ("SCMP_CMP_LT", 5, 0, (0, 4), (5, 6)),
        ("SCMP_CMP_LE", 5, 0, (4, 5), (6,)),
        ("SCMP_CMP_EQ", 1 << 40, 0, (1 << 40,), (1 << 8, 0)),
        ("SCMP_CMP_GE", 5, 0, (5, 1 << 50), (4,)),
        ("SCMP_CMP_GT", 5, 0, (6,), (5,)),
        ("SCMP_CMP_MASKED_EQ", 0xF0, 0x30, (0x30, 0x3F, 0x130), (0x40, 0)),
    ],
)
@pytest.mark.parametrize("index", range(6))
def test_each_operator_on_each_argument(  # noqa: PLR0917
    index: int, op: str, value: int, value_two: int, hits: tuple[int, ...], misses: tuple[int, ...]
) -> None:
    """64 bits wide; for MASKED_EQ ``value`` is the mask and ``valueTwo`` the result."""
    condition = {"index": index, "op": op, "value": value, "valueTwo": value_two}
    program = compile_oci(profile(rule("kill", args=[condition])))
    for argument in (*hits, *misses):
        arguments = [0] * 6
        arguments[index] = argument
        assert run(program, number("kill"), *arguments) == (EPERM if argument in hits else ALLOW)


def test_conditions_on_different_arguments_must_all_hold() -> None:
    """On one argument they are alternatives, as under runc."""
    both = [{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}, {"index": 1, "op": "SCMP_CMP_EQ", "value": 9}]
    program = compile_oci(profile(rule("kill", args=both)))
    assert run(program, number("kill"), 1, 9) == EPERM
    assert run(program, number("kill"), 1, 8) == ALLOW
    either = [{"index": 1, "op": "SCMP_CMP_EQ", "value": 8}, {"index": 1, "op": "SCMP_CMP_EQ", "value": 9}]
    program = compile_oci(profile(rule("kill", args=either)))
    assert [run(program, number("kill"), 0, signal) for signal in (8, 9, 10)] == [EPERM, EPERM, ALLOW]


def test_architectures() -> None:
    """Each has its own numbers; one that is not named is killed, but for the machine's own."""
    program = compile_oci(profile(rule("mkdir"), architectures=["SCMP_ARCH_X86"]))
    assert run(program, 39, arch=X86) == EPERM  # mkdir of i386
    assert run(program, number("mkdir")) == EPERM
    assert run(program, 1, arch=0xC00000B7) == 0
    known = [name for name in ARCHITECTURES if libseccomp.arch(name.removeprefix("SCMP_ARCH_").lower())]
    assert {"SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC64LE"} <= set(known)
    little = [
        name for name in known if name in ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_RISCV64", "SCMP_ARCH_X32")
    ]
    program = compile_oci(profile(rule("openat"), architectures=little))
    assert run(program, number("openat", libseccomp.arch("aarch64")), arch=0xC00000B7) == EPERM


def test_calls_that_the_profile_cannot_know_do_not_exist() -> None:
    """ENOSYS where the default refuses, unless it is ENOSYS; never where it lets through."""
    for default, answer in (
        ("SCMP_ACT_ERRNO", ENOSYS),
        ("SCMP_ACT_KILL_PROCESS", ENOSYS),
        ("SCMP_ACT_ALLOW", ALLOW),
        ("SCMP_ACT_LOG", 0x7FFC0000),
        ("SCMP_ACT_TRACE", 0x7FF00001),
    ):
        other = "SCMP_ACT_ERRNO" if default == "SCMP_ACT_ALLOW" else "SCMP_ACT_ALLOW"
        assert run(compile_oci(profile(rule("openat", action=other), default=default)), 9999) == answer


def test_nothing_is_confined_by_nothing() -> None:
    """Neither a default nor a rule: no filter."""
    assert compile_oci({}) == b""
    assert compile_oci({"syscalls": None, "flags": []}) == b""


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (None, 4),
        ({}, 4),
        ({"flags": []}, 0),
        ({"flags": ["SECCOMP_FILTER_FLAG_TSYNC"]}, 0),
        ({"flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}, 6),
        (
            {"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], "syscalls": [rule("bind", action="SCMP_ACT_NOTIFY")]},
            40,
        ),
    ],
)
def test_how_it_is_loaded(given: dict[str, Any] | None, flags: int) -> None:
    """Without a list SPEC_ALLOW, as under runc; with a rule that notifies, a listener."""
    assert load_flags(given) == flags


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (profile(default="FOO"), "string FOO is not a valid action for seccomp"),
        ({"syscalls": [rule("read")]}, "string  is not a valid action for seccomp"),
        (profile(rule("read", action="SCMP_ACT_X")), "string SCMP_ACT_X is not a valid action for seccomp"),
        (profile(architectures=["SCMP_ARCH_Z80"]), "string SCMP_ARCH_Z80 is not a valid arch for seccomp"),
        (profile(flags=["FOO"]), "seccomp flag FOO is not known to wherry-oci"),
        (profile(rule("")), "unable to init seccomp: empty string is not a valid syscall"),
        (profile(rule("kill", args=[{"index": 0, "op": "="}])), "string = is not a valid operator for seccomp"),
        (
            profile(rule("kill", args=[{"index": 7, "op": "SCMP_CMP_EQ", "value": 1}])),
            "error creating seccomp syscall condition for syscall kill: syscalls only have up to 6 arguments (7 given)",
        ),
        (
            profile(default="SCMP_ACT_NOTIFY"),
            "unable to init seccomp: SCMP_ACT_NOTIFY cannot be used as default action",
        ),
        (
            profile(rule("bind", "write", action="SCMP_ACT_NOTIFY"), listenerPath="/agent"),
            "unable to init seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (profile(rule("bind", action="SCMP_ACT_NOTIFY")), "listenerPath is not set"),
        (profile(listenerMetadata="x"), "listenerMetadata is set, but listenerPath is not"),
        (
            profile(architectures=["SCMP_ARCH_S390"]),
            "error adding architecture to seccomp filter: SCMP_ARCH_S390 cannot be filtered on this machine",
        ),
        (profile(rule("read", action="SCMP_ACT_KILL", errnoRet=1)), "errnoRet is not supported by the seccomp action"),
        (
            profile(default="SCMP_ACT_ALLOW", defaultErrnoRet=1),
            "defaultErrnoRet is not supported by the seccomp action",
        ),
        (profile(rule("read", errnoRet=70000)), "errnoRet of linux.seccomp is not a number from 0 to 65535"),
        (profile(syscalls="read"), "syscalls of linux.seccomp is not a list"),
    ],
)
def test_what_makes_no_sense(given: dict[str, Any], message: str) -> None:
    """In runc's words; errnoRet where the action has none is an error by the specification."""
    with pytest.raises(SeccompError) as refusal:
        compile_oci(given)
    assert message in str(refusal.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["read", "write", "kill"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
good_rules = st.fixed_dictionaries(
    {
        "names": st.lists(st.sampled_from(["read", "kill", "openat", "no_such_call"]), max_size=3),
        "action": st.sampled_from(sorted(ACTIONS)),
    },
    optional={
        "errnoRet": st.integers(0, 4095) | st.none(),
        "args": st.lists(
            st.fixed_dictionaries(
                {
                    "index": st.integers(0, 5),
                    "op": st.sampled_from(sorted(OPERATORS)),
                    "value": st.integers(0, 2**64 - 1),
                },
                optional={"valueTwo": st.integers(0, 2**64 - 1)},
            ),
            max_size=3,
        ),
    },
)


@given(
    st.dictionaries(
        st.sampled_from(["defaultAction", "architectures", "flags", "defaultErrnoRet", "listenerPath"]), values
    ),
    st.dictionaries(st.sampled_from(["names", "action", "args", "errnoRet"]), values) | values,
)
def test_any_json_is_rules_or_refused(outer: dict[str, Any], inner: Any) -> None:
    """No other exception."""
    for further in (outer, {"syscalls": [inner]}):
        try:
            read_oci({"defaultAction": "SCMP_ACT_ALLOW", **further})
        except SeccompError:
            continue


@given(st.sampled_from(sorted(ACTIONS)), st.lists(good_rules, max_size=4))
def test_any_profile_of_the_format_compiles_or_is_refused(default: str, rules: list[dict[str, Any]]) -> None:
    """Whatever rules stand beside each other, libseccomp's refusal is told."""
    try:
        program = compile_oci({"defaultAction": default, "syscalls": rules, "listenerPath": "/agent"})
    except SeccompError:
        return
    assert len(program) % 8 == 0
    assert run(program, 5, arch=0xC00000B7) == 0


def test_the_cache(tmp_path: Path) -> None:
    """The same program from the file, without libseccomp; another one for other content, and anew when it is torn."""
    cache = str(tmp_path / "cache")
    wanted = profile(rule("mkdir"), architectures=["SCMP_ARCH_X86_64"])
    program = compile_oci(wanted, cache)
    (file,) = Path(cache).iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    script = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
        f"from wherry.linux.seccomp import compile_oci; program = compile_oci({wanted!r}, {cache!r})\n"
        "assert 'ctypes' not in sys.modules; print(program.hex())"
    )
    done = subprocess.run([sys.executable, "-ISEc", script], capture_output=True, text=True, check=True)
    assert bytes.fromhex(done.stdout) == program
    file.write_bytes(file.read_bytes()[:-1])
    assert compile_oci(wanted, cache) == program
    compile_oci(profile(rule("rmdir")), cache)
    assert len(list(Path(cache).iterdir())) == 2


def test_what_a_cache_is_not_believed(tmp_path: Path) -> None:
    """A file that others can write, a link, a library that has been replaced, a directory that cannot be written."""
    cache = str(tmp_path)
    seccomp_cache.store(cache, "a", b"program!", libseccomp.path())
    assert seccomp_cache.load(cache, "a") == b"program!"
    (tmp_path / "a").chmod(0o622)
    assert seccomp_cache.load(cache, "a") is None
    (tmp_path / "a").chmod(0o600)
    (tmp_path / "b").symlink_to("a")
    assert seccomp_cache.load(cache, "b") is None
    library = tmp_path / "lib"
    library.write_text("one")
    seccomp_cache.store(cache, "c", b"program!", str(library))
    library.write_text("other")
    os.utime(library, ns=(1, 1))
    assert seccomp_cache.load(cache, "c") is None
    assert not seccomp_cache.store(f"{library}/x", "c", b"program!", "")


def test_a_cache_does_not_grow_for_ever(tmp_path: Path) -> None:
    """The oldest make room."""
    for count in range(270):
        (tmp_path / f"old{count}").touch()
    seccomp_cache.store(str(tmp_path), "new", b"", "")
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left) == 256
    assert "new" in left


def test_importing_it_is_cheap() -> None:
    """``wherry-oci`` has 70 ms for all it does: no json, re, ctypes, nor dataclasses on its way to a cached filter."""
    script = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
        "import wherry.linux.seccomp, wherry.linux.capabilities; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-ISEc", script], capture_output=True, text=True, check=True)
    heavy = {"ctypes", "json", "re", "typing", "pathlib", "dataclasses", "functools", "contextlib", "collections"}
    assert heavy & set(done.stdout.split()) == set()


def test_every_flag_action_and_operator_is_the_specifications() -> None:
    """Counted, so that none goes missing (config-linux, seccomp)."""
    assert (len(ACTIONS), len(OPERATORS), len(FLAGS)) == (9, 7, 4)
