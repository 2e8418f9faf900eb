"""OCI resources and annotations as properties of systemd's units."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.cgroups import CgroupError, LimitError, systemd_annotations
from wherry.linux.cgroups.systemd_properties import (
    INFINITY,
    cpu_bits,
    device_properties,
    devices_groups,
    properties_v1,
    properties_v2,
    unit_properties,
)

MEBI = 1 << 20
NEW, OLD = 252, 241
RESOURCES: dict[str, Any] = {
    "memory": {"limit": 64 * MEBI, "swap": 96 * MEBI, "reservation": 32 * MEBI},
    "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"},
    "pids": {"limit": 50},
    "blockIO": {"weight": 500},
}


def test_a_scope_has_its_process_and_owns_what_is_below() -> None:
    """And counts from the start on."""
    assert unit_properties("wherry-x.scope", "a-b.slice", 42, version=2) == [
        ("Description", ("s", "wherry container wherry-x")),
        ("Slice", ("s", "a-b.slice")),
        ("Delegate", ("b", True)),
        ("PIDs", ("au", [42])),
        ("MemoryAccounting", ("b", True)),
        ("CPUAccounting", ("b", True)),
        ("IOAccounting", ("b", True)),
        ("TasksAccounting", ("b", True)),
        ("DefaultDependencies", ("b", False)),
    ]
    slices = dict(unit_properties("pod.slice", "a.slice", None, version=1))
    assert slices["Wants"] == ("as", ["a.slice"])
    assert "PIDs" not in slices
    assert "BlockIOAccounting" in slices


def test_limits_on_v2() -> None:
    """What systemd can say it is told, in its own units."""
    assert properties_v2(RESOURCES, NEW) == [
        ("MemoryMax", ("t", 64 * MEBI)),
        ("MemoryLow", ("t", 32 * MEBI)),
        ("MemorySwapMax", ("t", 32 * MEBI)),
        ("CPUWeight", ("t", 100)),
        ("CPUQuotaPeriodUSec", ("t", 100000)),
        ("CPUQuotaPerSecUSec", ("t", 500000)),
        ("TasksMax", ("t", 50)),
        ("AllowedCPUs", ("ay", b"\x03")),
        ("AllowedMemoryNodes", ("ay", b"\x01")),
    ]


def test_limits_on_v1() -> None:
    """The old names."""
    assert properties_v1(RESOURCES, NEW) == [
        ("MemoryLimit", ("t", 64 * MEBI)),
        ("CPUShares", ("t", 1024)),
        ("CPUQuotaPeriodUSec", ("t", 100000)),
        ("CPUQuotaPerSecUSec", ("t", 500000)),
        ("BlockIOWeight", ("t", 500)),
        ("TasksMax", ("t", 50)),
        ("AllowedCPUs", ("ay", b"\x03")),
        ("AllowedMemoryNodes", ("ay", b"\x01")),
    ]


def test_an_old_systemd_is_not_told_what_it_does_not_know() -> None:
    """The control files are written all the same."""
    names = {name for name, _ in properties_v2(RESOURCES, OLD)}
    assert not names & {"CPUQuotaPeriodUSec", "AllowedCPUs", "AllowedMemoryNodes"}
    assert "CPUQuotaPerSecUSec" in names


def test_no_limit_is_infinity() -> None:
    """-1 as an unsigned number."""
    none = {"memory": {"limit": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}}
    assert properties_v2(none, NEW) == [
        ("MemoryMax", ("t", INFINITY)),
        ("MemorySwapMax", ("t", INFINITY)),
        ("CPUQuotaPerSecUSec", ("t", INFINITY)),
        ("TasksMax", ("t", INFINITY)),
    ]
    assert properties_v2({}, NEW) == properties_v1({}, NEW) == []


@given(st.integers(1000, 10**7), st.integers(1000, 10**6))
def test_systemd_s_quota_leaves_room_for_the_one_asked_for(quota: int, period: int) -> None:
    """It counts in whole per cents: never less than what the file below gets."""
    properties = dict(properties_v2({"cpu": {"quota": quota, "period": period}}, NEW))
    per_second = properties["CPUQuotaPerSecUSec"][1]
    assert per_second % 10_000 == 0
    assert quota * 1_000_000 <= per_second * period < (quota * 1_000_000) + 10_000 * period


@pytest.mark.parametrize(
    ("name", "value", "properties"),
    [
        ("memory.high", "max", [("MemoryHigh", ("t", INFINITY))]),
        ("memory.min", "5", [("MemoryMin", ("t", 5))]),
        ("cpu.max", "50000", [("CPUQuotaPeriodUSec", ("t", 100000)), ("CPUQuotaPerSecUSec", ("t", 500000))]),
        ("cpu.max", "max 1000", [("CPUQuotaPeriodUSec", ("t", 1000)), ("CPUQuotaPerSecUSec", ("t", INFINITY))]),
        ("cpuset.cpus", "8", [("AllowedCPUs", ("ay", b"\x00\x01"))]),
        ("pids.max", " 7\n", [("TasksMax", ("t", 7))]),
        ("memory.oom.group", "1", []),
        ("hugetlb.2MB.max", "0", []),
    ],
)
def test_raw_settings(name: str, value: str, properties: list[Any]) -> None:
    """Of those that systemd has a word for."""
    assert properties_v2({"unified": {name: value}}, NEW) == properties


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"unified": {"memory.max": "lots"}}, 'unified resource "memory.max" value conversion error'),
        ({"unified": {"cpu.max": "a b"}}, 'unified resource "cpu.max" value invalid: "a b"'),
        ({"unified": {"cpuset.cpus": "x"}}, 'unified resource "cpuset.cpus"="x" conversion error'),
        ({"unified": {"a/b.c": "x"}}, "must be a file name (no slashes)"),
        ({"cpu": {"cpus": "3-1"}}, 'resources.CPU.Cpus="3-1" conversion error: invalid range: 3-1'),
        ({"cpu": {"mems": ","}}, 'resources.CPU.Mems="," conversion error: empty value'),
    ],
)
def test_what_makes_no_sense_is_refused(resources: dict[str, Any], message: str) -> None:
    """In runc's words."""
    with pytest.raises(LimitError) as refused:
        properties_v2(resources, NEW)
    assert message in str(refused.value)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_cpu_masks(cpus: set[int]) -> None:
    """Bit n of byte n/8 is CPU n."""
    mask = cpu_bits(",".join(map(str, cpus)))
    assert {number for number in range(len(mask) * 8) if mask[number // 8] >> number % 8 & 1} == cpus
    assert mask[-1] != 0


PROC_DEVICES = """\
Character devices:
  1 mem
  5 /dev/tty
136 pts

Block devices:
  8 sd
254 virtblk
"""


def test_devices_by_path_and_group() -> None:
    """What systemd cannot say is left to our own rules."""
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "c", "major": 136, "access": "rw"},
        {"allow": True, "type": "b", "major": 8, "access": "r"},
        {"allow": True, "type": "c", "minor": 4, "access": "r"},
        {"allow": True, "type": "c", "major": 200, "access": "r"},
        {"allow": True, "type": "c", "major": 9, "minor": 9, "access": "r"},
    ]
    groups = devices_groups(PROC_DEVICES)
    properties = device_properties(rules, groups, {"/sys/dev/char/1:3"}.__contains__)
    assert properties == [
        ("DevicePolicy", ("s", "strict")),
        ("DeviceAllow", ("a(ss)", [])),
        (
            "DeviceAllow",
            ("a(ss)", [("char-*", "m"), ("/dev/char/1:3", "rwm"), ("block-sd", "r"), ("char-pts", "rw")]),
        ),
    ]


def test_all_devices_or_all_but_some() -> None:
    """systemd has no list of what is denied: for a moment it denies all, until our own rules are set."""
    everything = [{"allow": True, "access": "rwm"}]
    assert device_properties(everything, {}, bool) == [
        ("DevicePolicy", ("s", "auto")),
        ("DeviceAllow", ("a(ss)", [])),
    ]
    but_one = [*everything, {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "w"}]
    assert device_properties(but_one, {}, bool)[0] == ("DevicePolicy", ("s", "strict"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", ("b", True)),
        ("5", ("i", 5)),
        ("-0x10", ("i", -16)),
        ("uint64 5", ("t", 5)),
        ("1.5", ("d", 1.5)),
        ("'a b'", ("s", "a b")),
        (r'"a\"b\\"', ("s", 'a"b\\')),
        ("['a', 'b,c']", ("as", ["a", "b,c"])),
        ("@as []", ("as", [])),
        ("@au [1, 2]", ("au", [1, 2])),
        ("[byte 1, byte 2]", ("ay", b"\x01\x02")),
    ],
)
def test_annotation_values(text: str, value: tuple[str, Any]) -> None:
    """GVariant text, as runc's users write it."""
    assert systemd_annotations.parse(text) == value


def test_annotations_become_properties() -> None:
    """Those with the prefix; a time in seconds in microseconds."""
    annotations = {
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.TimeoutStopSec": "uint64 90",
        "org.systemd.property.TimeoutStartUSec": "uint64 9",
        "org.example": "5",
    }
    assert systemd_annotations.properties(annotations) == [
        ("CollectMode", ("s", "inactive-or-failed")),
        ("TimeoutStopUSec", ("t", 90_000_000)),
        ("TimeoutStartUSec", ("t", 9)),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Ab", "1"),
        ("A b", "1"),
        ("Über", "1"),
        ("TimeoutStopSec", "'x'"),
        ("CollectMode", "x"),
        ("CollectMode", "[1, 'a']"),
        ("CollectMode", "[]"),
        ("CollectMode", ""),
    ],
)
def test_annotations_that_are_none(key: str, value: str) -> None:
    """Named in the error."""
    with pytest.raises(CgroupError, match=f"annotation org.systemd.property.{key}"):
        systemd_annotations.properties({f"org.systemd.property.{key}": value})


@given(st.text(max_size=12))
def test_no_annotation_crashes(value: str) -> None:
    """Refused or taken."""
    try:
        systemd_annotations.parse(value)
    except ValueError:
        return
