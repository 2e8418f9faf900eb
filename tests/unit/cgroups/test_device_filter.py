"""The eBPF of device rules, run by a small interpreter, and the v1 writes, against a reading of the v1 kernel code."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.cgroups.device_rules import DeviceRules, merge, parse, text, transition
from wherry.linux.cgroups.devices import build_filter
from wherry.linux.cgroups.files import CgroupError

_KIND = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
LARGE = (1 << 32) - 1

Rule = dict[str, Any]


def run(  # noqa: C901  one case for each instruction
    program: bytes, kind: str, access: str, major: int, minor: int
) -> bool:
    """Interpret the instructions that the filter uses."""
    context = [sum(_ACCESS[one] for one in access) << 16 | _KIND[kind], major, minor]
    registers = [0] * 11
    at = 0
    while True:
        code, places, offset, immediate = struct.unpack_from("=BBhI", program, at * 8)
        target, source = places & 15, places >> 4
        at += 1
        match code:
            case 0x61:
                registers[target] = context[offset // 4]
            case 0x57:
                registers[target] &= immediate
            case 0x77:
                registers[target] >>= immediate
            case 0xBF:
                registers[target] = registers[source]
            case 0xB7:
                registers[target] = immediate
            case 0x15:
                at += offset if registers[target] == immediate else 0
            case 0x55:
                assert immediate < 1 << 31, "the kernel would extend the sign"
                at += offset if registers[target] != immediate else 0
            case 0x56:
                at += offset if registers[target] & LARGE != immediate else 0
            case 0x5D:
                at += offset if registers[target] != registers[source] else 0
            case 0x95:
                return bool(registers[0])
            case _:
                raise AssertionError(f"opcode {code:#x}")


class Kernel:
    """security/device_cgroup.c: what writing rules to devices.allow and devices.deny does, and what it then allows."""

    def __init__(self) -> None:
        self.allow = True
        self.exceptions: dict[tuple[str, Any, Any], set[str]] = {}

    def write(self, file: str, value: str) -> None:
        kind, numbers, access = value.split(" ")
        allow = file == "devices.allow"
        if kind == "a":
            self.allow, self.exceptions = allow, {}
            return
        major, minor = (None if part == "*" else int(part) for part in numbers.split(":"))
        held = self.exceptions.setdefault((kind, major, minor), set())
        if allow is self.allow:
            held -= set(access)
        else:
            held |= set(access)
        if not held:
            del self.exceptions[kind, major, minor]

    def lets(self, kind: str, access: str, major: int, minor: int) -> bool:
        asked = set(access)
        matching = [
            held
            for (of, first, second), held in self.exceptions.items()
            if of == kind and first in (None, major) and second in (None, minor)
        ]
        return not any(held & asked for held in matching) if self.allow else any(asked <= held for held in matching)

    def list(self) -> str:
        if self.allow:
            return "a *:* rwm\n"
        lines = []
        for (kind, major, minor), held in self.exceptions.items():
            numbers = ":".join("*" if number is None else str(number) for number in (major, minor))
            lines.append(f"{kind} {numbers} {''.join(mode for mode in 'rwm' if mode in held)}\n")
        return "".join(lines)


numbers = st.integers(0, 3) | st.just(LARGE)
accesses = st.sets(st.sampled_from("rwm"), min_size=1).map("".join)
rules = st.lists(
    st.fixed_dictionaries(
        {"allow": st.booleans(), "type": st.sampled_from("abc"), "access": accesses},
        optional={"major": numbers, "minor": numbers},
    ),
    max_size=6,
)


def merged(given_rules: Sequence[Rule]) -> DeviceRules | None:
    """None where the rules punch a hole, which is refused."""
    try:
        return merge(given_rules)
    except CgroupError as error:
        assert "cannot punch hole in existing wildcard rule" in str(error)  # noqa: PT017
        return None


def plainly(given_rules: Sequence[Rule]) -> Kernel:
    """The rules written one by one, after all has been denied."""
    kernel = Kernel()
    kernel.write("devices.deny", "a *:* rwm")
    for rule in given_rules:
        parts = [str(rule[name]) if name in rule else "*" for name in ("major", "minor")]
        value = "a *:* rwm" if rule["type"] == "a" else f"{rule['type']} {':'.join(parts)} {rule['access']}"
        kernel.write("devices.allow" if rule["allow"] else "devices.deny", value)
    return kernel


@given(rules, st.sampled_from("bc"), accesses, numbers, numbers)
def test_the_program_decides_as_the_v1_kernel(
    given_rules: list[Rule], kind: str, access: str, major: int, minor: int
) -> None:
    """For any rules and any access: a limit means the same on v1 and on v2."""
    target = merged(given_rules)
    if target is not None:
        expected = plainly(given_rules).lets(kind, access, major, minor)
        assert run(build_filter(target), kind, access, major, minor) == expected


@given(rules, rules)
def test_a_change_writes_what_is_needed(before: list[Rule], after: list[Rule]) -> None:
    """From any state to any other, knowing only what devices.list says."""
    first, second = merged(before), merged(after)
    if first is None or second is None:
        return
    kernel = plainly(before)
    for file, value in transition(parse(kernel.list()), second):
        kernel.write(file, value)
    expected = plainly(after)
    assert (kernel.allow, kernel.exceptions) == (expected.allow, expected.exceptions)


@given(rules, rules, st.tuples(st.sampled_from("bc"), numbers, numbers), accesses)
def test_a_change_disturbs_nobody(
    before: list[Rule], after: list[Rule], device: tuple[str, int, int], access: str
) -> None:
    """What an allow-list lets through before and after, by one and the same rule, it lets through all the time."""
    first, second = merged(before), merged(after)
    if first is None or second is None or first.allow or second.allow:
        return
    kernel = plainly(before)
    kind, major, minor = device
    both = set(first.exceptions.get(device, "")) & set(second.exceptions.get(device, ""))
    if not set(access) <= both:
        return
    for file, value in transition(parse(kernel.list()), second):
        kernel.write(file, value)
        assert kernel.lets(kind, access, major, minor)


def test_no_rule_allows_nothing() -> None:
    """An empty list is not an open door."""
    assert not run(build_filter(merge([])), "c", "r", 1, 3)


def test_read_and_write_rules_of_one_device_add_up() -> None:
    """Opening for both needs both, in however many rules they come."""
    halves = [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": mode} for mode in "rw"]
    assert run(build_filter(merge(halves)), "c", "rw", 1, 3)


def test_a_denied_half_denies_the_whole() -> None:
    """Opening for reading and writing is refused where reading alone is."""
    listed = [{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "r"}]
    assert not run(build_filter(merge(listed)), "c", "rw", 1, 3)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"allow": True, "type": "x", "access": "r"}, 'invalid cgroup device type "x"'),
        ({"allow": True, "type": "p", "access": "r"}, 'invalid cgroup device type "p"'),
        ({"allow": True, "type": "c", "access": ""}, "device access at 0 field cannot be empty"),
        ({"allow": True, "type": "c", "access": "x"}, 'invalid cgroup device access "x"'),
        ({"allow": True, "type": "c", "major": 1 << 32, "access": "r"}, "invalid major 4294967296"),
    ],
)
def test_a_rule_that_is_none_is_refused(rule: Rule, message: str) -> None:
    """Rather than left out; in runc's words where it says something."""
    with pytest.raises(CgroupError) as refused:
        merge([rule])
    assert str(refused.value) == message


def test_a_hole_is_refused_as_by_runc() -> None:
    """The whole message."""
    listed = [
        {"allow": True, "type": "c", "major": 1, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "r"},
    ]
    with pytest.raises(CgroupError) as refused:
        merge(listed)
    assert str(refused.value) == (
        "unable to remove 'allow' exception: requested rule [{99 1 3} r] not supported by devices cgroupv1 "
        "(cannot punch hole in existing wildcard rule [{99 1 -1} rwm])"
    )


@pytest.mark.parametrize(
    ("device", "access", "written"),
    [(("c", 1, 3), "rw", "c 1:3 rw"), (("b", 8, -1), "r", "b 8:* r"), (("c", -1, -1), "m", "c *:* m")],
)
def test_rules_as_the_kernel_reads_them(device: tuple[str, int, int], access: str, written: str) -> None:
    """``*`` is any number."""
    assert text(device, access) == written
