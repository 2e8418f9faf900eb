"""The eBPF of device rules, run by a small interpreter, against the rules read plainly."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.cgroups.devices import build_filter
from wherry.linux.cgroups.files import CgroupError

_KIND = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

Rule = dict[str, Any]


def run(program: bytes, kind: str, access: str, major: int, minor: int) -> bool:
    """Interpret the instructions that the filter uses."""
    context = [sum(_ACCESS[one] for one in access) << 16 | _KIND[kind], major, minor]
    registers = [0] * 11
    at = 0
    while True:
        code, places, offset, immediate = struct.unpack_from("=BBhi", program, at * 8)
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
            case 0x55:
                at += offset if registers[target] != immediate else 0
            case 0x5D:
                at += offset if registers[target] != registers[source] else 0
            case 0x95:
                return bool(registers[0])
            case _:
                raise AssertionError(f"opcode {code:#x}")


def decide(rules: Sequence[Rule], kind: str, access: str, major: int, minor: int) -> bool:
    """The last rule that covers everything asked for decides."""
    for rule in reversed(rules):
        everything = rule["type"] == "a"
        if not everything and rule["type"] != kind:
            continue
        if set(access) - set(rule["access"]):
            continue
        if not everything and rule.get("major") not in (None, major):
            continue
        if not everything and rule.get("minor") not in (None, minor):
            continue
        return bool(rule["allow"])
    return False


accesses = st.sets(st.sampled_from("rwm"), min_size=1).map("".join)
rule = st.fixed_dictionaries(
    {"allow": st.booleans(), "type": st.sampled_from("abc"), "access": accesses},
    optional={"major": st.integers(0, 3), "minor": st.integers(0, 3)},
)


@given(st.lists(rule, max_size=6), st.sampled_from("bc"), accesses, st.integers(0, 3), st.integers(0, 3))
def test_the_program_decides_as_the_rules_say(
    rules: list[Rule], kind: str, access: str, major: int, minor: int
) -> None:
    """For any rules and any access."""
    assert run(build_filter(rules), kind, access, major, minor) == decide(rules, kind, access, major, minor)


def test_no_rule_allows_nothing() -> None:
    """An empty list is not an open door."""
    assert not run(build_filter([]), "c", "r", 1, 3)


def test_a_rule_that_is_none_is_refused() -> None:
    """Rather than left out."""
    with pytest.raises(CgroupError):
        build_filter([{"allow": True, "type": "c", "access": "x"}])
