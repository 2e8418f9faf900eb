"""What an OCI resources object means, as writes, on v1 and on v2."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.cgroups import v1_resources, v2_resources
from wherry.linux.cgroups.base import wanted_limit
from wherry.linux.cgroups.files import CgroupError, LimitError
from wherry.linux.cgroups.v1 import CgroupsV1

MEBI = 1 << 20

EVERYTHING: dict[str, Any] = {
    "memory": {
        "limit": 64 * MEBI,
        "swap": 128 * MEBI,
        "reservation": 32 * MEBI,
        "kernel": 5,
        "kernelTCP": 6,
        "swappiness": 0,
        "disableOOMKiller": True,
        "useHierarchy": True,
    },
    "cpu": {
        "shares": 512,
        "quota": 50000,
        "period": 100000,
        "burst": 10000,
        "idle": 0,
        "realtimeRuntime": 5000,
        "realtimePeriod": 100000,
        "cpus": "0-1",
        "mems": "0",
    },
    "pids": {"limit": 50},
    "blockIO": {
        "weight": 500,
        "leafWeight": 300,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 100, "leafWeight": 200}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2097152}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 50}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 100}],
    },
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
    "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "mlx4_0": {"hcaObjects": 1000}},
    "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
}


def test_v1_writes() -> None:
    """Memory with its total, and quota with its period and burst, are groups whose order may have to change."""
    assert v1_resources.entry_plan(EVERYTHING) == [
        [("cpuset", "cpuset.cpus", "0-1")],
        [("cpuset", "cpuset.mems", "0")],
        [("cpu", "cpu.rt_period_us", "100000"), ("cpu", "cpu.rt_runtime_us", "5000")],
    ]
    assert v1_resources.plan(EVERYTHING) == [
        [
            ("memory", "memory.limit_in_bytes", str(64 * MEBI)),
            ("memory", "memory.memsw.limit_in_bytes", str(128 * MEBI)),
        ],
        [("memory", "memory.soft_limit_in_bytes", str(32 * MEBI))],
        [("memory", "memory.kmem.tcp.limit_in_bytes", "6")],
        [("memory", "?memory.use_hierarchy", "1")],
        [("memory", "memory.oom_control", "1")],
        [("memory", "memory.swappiness", "0")],
        [("cpu", "cpu.shares", "512")],
        [
            ("cpu", "cpu.cfs_period_us", "100000"),
            ("cpu", "?cpu.cfs_burst_us", "10000"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
        ],
        [("cpu", "cpu.idle", "0")],
        [("pids", "pids.max", "50")],
        [("blkio", "blkio.weight", "500")],
        [("blkio", "blkio.leaf_weight", "300")],
        [("blkio", "blkio.weight_device", "8:0 100")],
        [("blkio", "blkio.leaf_weight_device", "8:0 200")],
        [("blkio", "blkio.throttle.read_bps_device", "8:0 1048576")],
        [("blkio", "blkio.throttle.write_bps_device", "8:0 2097152")],
        [("blkio", "blkio.throttle.read_iops_device", "8:16 50")],
        [("blkio", "blkio.throttle.write_iops_device", "8:16 100")],
        [("hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304")],
        [("hugetlb", "?hugetlb.2MB.rsvd.limit_in_bytes", "4194304")],
        [("net_cls", "net_cls.classid", "1048577")],
        [("net_prio", "net_prio.ifpriomap", "eth0 500")],
        [("rdma", "rdma.max", "mlx5_1 hca_handle=3 hca_object=10000")],
        [("rdma", "rdma.max", "mlx4_0 hca_object=1000")],
    ]


def test_v2_writes() -> None:
    """v2 has other names, other scales, and swap without memory."""
    assert v2_resources.plan(EVERYTHING) == [
        ("pids", "pids.max", "50"),
        ("memory", "memory.swap.max", str(64 * MEBI)),
        ("memory", "memory.max", str(64 * MEBI)),
        ("memory", "memory.low", str(32 * MEBI)),
        ("io", "io.weight", "4950"),
        ("io", "io.weight", "8:0 910"),
        ("io", "io.max", "8:0 rbps=1048576"),
        ("io", "io.max", "8:0 wbps=2097152"),
        ("io", "io.max", "8:16 riops=50"),
        ("io", "io.max", "8:16 wiops=100"),
        ("cpu", "cpu.idle", "0"),
        ("cpu", "cpu.weight", str(v2_resources.cpu_weight(512))),
        ("cpu", "cpu.max.burst", "0"),
        ("cpu", "cpu.max", "50000 100000"),
        ("cpu", "cpu.max.burst", "10000"),
        ("cpuset", "cpuset.cpus", "0-1"),
        ("cpuset", "cpuset.mems", "0"),
        ("hugetlb", "hugetlb.2MB.max", "4194304"),
        ("hugetlb", "?hugetlb.2MB.rsvd.max", "4194304"),
        ("rdma", "rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"),
        ("rdma", "rdma.max", "mlx4_0 hca_object=1000"),
    ]


def test_the_bfq_scheduler_keeps_v1_s_scale() -> None:
    """Where it is there its weight is the one that counts."""
    writes = [write for write in v2_resources.plan(EVERYTHING, bfq=True) if "weight" in write[1] and write[0] == "io"]
    assert writes == [("io", "io.bfq.weight", "500"), ("io", "io.bfq.weight", "8:0 100")]


def test_an_empty_object_writes_nothing() -> None:
    """What is not named stays as it is."""
    empty = {"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}}
    for resources in ({}, empty):
        assert v1_resources.entry_plan(resources) == v1_resources.plan(resources) == []
        assert v2_resources.plan(resources) == []


@pytest.mark.parametrize("limit", [-1, -5])
def test_a_negative_number_of_processes_is_no_limit(limit: int) -> None:
    """As runc has it; 0 is not set at all."""
    assert v1_resources.plan({"pids": {"limit": limit}}) == [[("pids", "pids.max", "max")]]
    assert v2_resources.plan({"pids": {"limit": limit}}) == [("pids", "pids.max", "max")]
    assert v1_resources.plan({"pids": {"limit": 0}}) == v2_resources.plan({"pids": {"limit": 0}}) == []


def test_no_memory_limit_frees_the_total_too() -> None:
    """-1 for memory alone would otherwise leave the old total as the limit; the machine may count no swap."""
    assert v1_resources.plan({"memory": {"limit": -1}}) == [
        [("memory", "memory.limit_in_bytes", "-1"), ("memory", "?memory.memsw.limit_in_bytes", "-1")]
    ]
    assert v2_resources.plan({"memory": {"limit": -1}}) == [
        ("memory", "?memory.swap.max", "max"),
        ("memory", "memory.max", "max"),
    ]


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (1024, 100), (262144, 10000), (1, 1), (999999, 10000), (512, 59), (2048, 174)]
)
def test_cpu_shares_scale(shares: int, weight: int) -> None:
    """The least, the default and the most of v1 are those of v2."""
    assert v2_resources.cpu_weight(shares) == weight


@given(st.integers(1, 262144), st.integers(1, 262144))
def test_more_shares_are_never_less_weight(one: int, other: int) -> None:
    """And always within what the kernel takes."""
    low, high = sorted((one, other))
    assert 1 <= v2_resources.cpu_weight(low) <= v2_resources.cpu_weight(high) <= 10000


@given(st.integers(10, 1000))
def test_io_weights_are_in_range(weight: int) -> None:
    """v1's least and most are v2's."""
    assert 1 <= v2_resources.io_weight(weight) <= 10000
    assert (v2_resources.io_weight(10), v2_resources.io_weight(1000)) == (1, 10000)


@pytest.mark.parametrize(
    ("memory", "total", "swap"),
    [
        (None, None, ""),
        (64, 0, ""),
        (64, -1, "max"),
        (64, 64, "0"),
        (64, 100, "36"),
        (-1, None, "max"),
        (-1, 100, "100"),
    ],
)
def test_v2_limits_swap_alone(memory: int | None, total: int | None, swap: str) -> None:
    """v1's total less its memory."""
    assert v2_resources.swap_alone(memory, total) == swap


@pytest.mark.parametrize(
    ("memory", "total", "message"),
    [
        (None, 10, "unable to set swap limit without memory limit"),
        (10, 5, "memory+swap limit should be >= memory limit"),
        (-7, 5, "invalid memory value: -7"),
    ],
)
def test_v2_swap_needs_memory(memory: int | None, total: int, message: str) -> None:
    """A total without a part cannot be told apart; runc's words."""
    with pytest.raises(LimitError) as refused:
        v2_resources.swap_alone(memory, total)
    assert str(refused.value) == message


def test_an_update_of_a_part_keeps_the_other_part() -> None:
    """v2 has quota and period in one file, and swap counts from the memory limit that is there."""
    files = {"memory_max": str(64 * MEBI), "cpu_max": "50000 200000"}

    def writes(resources: dict[str, Any]) -> list[tuple[str, str]]:
        completed = v2_resources.complete(resources, **files)
        return [write[1:] for write in v2_resources.plan(completed)]

    assert writes({"cpu": {"quota": 10000}}) == [("cpu.max", "10000 200000")]
    assert writes({"cpu": {"period": 100000}}) == [("cpu.max", "50000 100000")]
    assert writes({"cpu": {"quota": -1}}) == [("cpu.max", "max 200000")]
    assert writes({"memory": {"swap": 100 * MEBI}})[0] == ("memory.swap.max", str(36 * MEBI))
    assert writes({"pids": {"limit": 5}}) == [("pids.max", "5")]


def test_a_check_before_an_update_keeps_processes_alive() -> None:
    """On v2 a limit below what is used would be kept by killing."""
    asked = {"limit": 10, "swap": 20, "checkBeforeUpdate": True}
    v2_resources.check_usage(asked, 9)
    with pytest.raises(LimitError, match=r"rejecting memory limit 10 <= usage 15"):
        v2_resources.check_usage(asked, 15)
    with pytest.raises(LimitError, match=r"rejecting memory\+swap limit 20 <= usage 25"):
        v2_resources.check_usage(asked, 25)
    v2_resources.check_usage({"limit": 10}, 15)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"memory": {"swappiness": 101}}, "invalid memory swappiness value: 101 (valid range is 0-100)"),
        ({"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]}, "invalid huge page size '../2MB'"),
    ],
)
def test_v1_refuses_what_it_cannot_say(resources: dict[str, Any], message: str) -> None:
    """Never a path in a file name."""
    with pytest.raises(LimitError) as refused:
        v1_resources.plan(resources)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"unified": {"memory.high": "1"}}, "invalid configuration: cannot use unified on cgroup v1"),
        ({"devices": [{"allow": True, "type": "x", "access": "r"}]}, 'invalid cgroup device type "x"'),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_is_made(resources: dict[str, Any], message: str) -> None:
    """In runc's words."""
    with pytest.raises(CgroupError) as refused:
        CgroupsV1([]).validate(resources)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../x.y", "must be a file name (no slashes)"),
        ("a/b.c", "must be a file name (no slashes)"),
        ("memory", "must be in the form CONTROLLER.PARAMETER"),
        (".hidden", "must be in the form CONTROLLER.PARAMETER"),
        ("memory.", "must be in the form CONTROLLER.PARAMETER"),
        ("cgroup.kill", "it limits nothing"),
        ("cgroup.procs", "it limits nothing"),
    ],
)
def test_v2_raw_settings_are_control_files(name: str, message: str) -> None:
    """``unified`` sets limits of the group, moves no process and writes nowhere else."""
    with pytest.raises(LimitError) as refused:
        v2_resources.unified({name: "1"})
    assert message in str(refused.value)
    assert v2_resources.unified({"memory.high": "5"}) == [("memory", "memory.high", "5")]


def test_what_asks_for_a_limit() -> None:
    """Device rules, which every configuration has, and empty objects do not."""
    assert wanted_limit({"devices": [{}], "memory": {"limit": 0}, "cpu": {}}) == ""
    assert wanted_limit({"memory": {"limit": 1}}) == "memory"
    assert wanted_limit({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}) == "hugetlb"
