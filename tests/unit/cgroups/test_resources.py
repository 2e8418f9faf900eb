"""What an OCI resources object means, as writes, on v1 and on v2."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.linux.cgroups import v1_resources, v2_resources
from wherry.linux.cgroups.files import CgroupError

EVERYTHING: dict[str, Any] = {
    "memory": {
        "limit": 64 << 20,
        "swap": 128 << 20,
        "reservation": 32 << 20,
        "swappiness": 0,
        "disableOOMKiller": True,
    },
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"},
    "pids": {"limit": 50},
    "blockIO": {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 100}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 100}],
    },
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
}


def test_v1_writes() -> None:
    """Memory with its total, and quota with its period, are groups whose order may have to change."""
    mebi = 1 << 20
    assert v1_resources.plan(EVERYTHING) == [
        [
            ("memory", "memory.limit_in_bytes", str(64 * mebi)),
            ("memory", "memory.memsw.limit_in_bytes", str(128 * mebi)),
        ],
        [("memory", "memory.soft_limit_in_bytes", str(32 * mebi))],
        [("memory", "memory.oom_control", "1")],
        [("memory", "memory.swappiness", "0")],
        [("cpu", "cpu.shares", "512")],
        [("cpu", "cpu.cfs_period_us", "100000"), ("cpu", "cpu.cfs_quota_us", "50000")],
        [("cpuset", "cpuset.cpus", "0-1")],
        [("cpuset", "cpuset.mems", "0")],
        [("pids", "pids.max", "50")],
        [("blkio", "blkio.weight", "500")],
        [("blkio", "blkio.weight_device", "8:0 100")],
        [("blkio", "blkio.throttle.read_bps_device", "8:0 1048576")],
        [("blkio", "blkio.throttle.write_iops_device", "8:16 100")],
        [("hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304")],
    ]


def test_v2_writes() -> None:
    """v2 has other names, other scales, and swap without memory."""
    mebi = 1 << 20
    assert v2_resources.plan(EVERYTHING) == [
        ("memory", "memory.swap.max", str(64 * mebi)),
        ("memory", "memory.max", str(64 * mebi)),
        ("memory", "memory.low", str(32 * mebi)),
        ("cpu", "cpu.weight", "20"),
        ("cpu", "cpu.max", "50000 100000"),
        ("cpuset", "cpuset.cpus", "0-1"),
        ("cpuset", "cpuset.mems", "0"),
        ("pids", "pids.max", "50"),
        ("io", "io.weight", "default 4950"),
        ("io", "io.weight", "8:0 910"),
        ("io", "io.max", "8:0 rbps=1048576"),
        ("io", "io.max", "8:16 wiops=100"),
        ("hugetlb", "hugetlb.2MB.max", "4194304"),
    ]


def test_an_empty_object_writes_nothing() -> None:
    """What is not named stays as it is."""
    assert v1_resources.plan({}) == []
    assert v2_resources.plan({}) == []


def test_no_memory_limit_frees_the_total_too() -> None:
    """-1 for memory alone would otherwise leave the old total as the limit."""
    assert v1_resources.plan({"memory": {"limit": -1}}) == [
        [("memory", "memory.limit_in_bytes", "-1"), ("memory", "memory.memsw.limit_in_bytes", "-1")]
    ]
    assert v2_resources.plan({"memory": {"limit": -1}}) == [
        ("memory", "memory.swap.max", "max"),
        ("memory", "memory.max", "max"),
    ]


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262144, 10000), (1, 1), (999999, 10000)])
def test_cpu_shares_scale(shares: int, weight: int) -> None:
    """The reference runtime's conversion, within the kernel's range."""
    assert v2_resources.cpu_weight(shares) == weight


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"allow": False, "access": "rwm"}, "a *:* rwm"),
        ({"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}, "c 1:3 rw"),
        ({"allow": True, "type": "b", "major": 8, "access": "r"}, "b 8:* r"),
        ({"allow": True, "type": "c", "major": -1, "minor": -1, "access": "m"}, "c *:* m"),
    ],
)
def test_device_rules(rule: dict[str, Any], text: str) -> None:
    """As the v1 kernel reads them."""
    assert v1_resources.device_rule(rule) == text


@pytest.mark.parametrize(
    "resources",
    [
        {"devices": [{"allow": True, "type": "x", "access": "r"}]},
        {"devices": [{"allow": True, "type": "c", "access": "rwx"}]},
        {"memory": {"swappiness": 101}},
        {"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]},
        {"unified": {"memory.high": "1"}},
    ],
)
def test_v1_refuses_what_it_cannot_say(resources: dict[str, Any]) -> None:
    """Never half applied, never a path in a file name."""
    with pytest.raises(CgroupError):
        v1_resources.plan(resources)


@pytest.mark.parametrize("name", ["../x.y", "cgroup.kill", "memory", ".hidden.x", "a/b.c"])
def test_v2_raw_settings_are_controller_files(name: str) -> None:
    """``unified`` sets controllers, not the group itself and nothing elsewhere."""
    with pytest.raises(CgroupError, match="not a controller's file"):
        v2_resources.plan({"unified": {name: "1"}})
    assert v2_resources.plan({"unified": {"memory.high": "5"}}) == [("", "memory.high", "5")]


def test_v2_swap_needs_memory() -> None:
    """A total without a part cannot be told apart."""
    with pytest.raises(CgroupError, match="without memory limit"):
        v2_resources.plan({"memory": {"swap": 10}})
    with pytest.raises(CgroupError, match="should be >= memory"):
        v2_resources.plan({"memory": {"limit": 10, "swap": 5}})
