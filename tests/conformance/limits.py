"""The properties of ``linux.resources`` and where the kernel shows each: a value first, tested by test_resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MB = 1 << 20
DEVICE = {"major": -1, "minor": -1}
"""Stands for a block device of the machine."""


@dataclass(frozen=True)
class Limit:
    """One property: its section of config-linux.md, what it is, a value, and the words that tell it."""

    section: str
    says: str
    value: dict[str, Any]
    v1: str
    """File of the v1 group and words of one line; the file's name begins with its controller's."""
    v2: str = ""
    """The same for v2; empty: there is no such thing."""


LIMITS = {
    "memory.limit": Limit(
        "memory",
        "limit: the most that is used",
        {"memory": {"limit": 64 * MB}},
        f"memory.limit_in_bytes {64 * MB}",
        f"memory.max {64 * MB}",
    ),
    "memory.reservation": Limit(
        "memory",
        "reservation: the soft limit",
        {"memory": {"reservation": 32 * MB}},
        f"memory.soft_limit_in_bytes {32 * MB}",
        f"memory.low {32 * MB}",
    ),
    "memory.swap": Limit(
        "memory",
        "swap: memory and swap together",
        {"memory": {"limit": 64 * MB, "swap": 96 * MB}},
        f"memory.memsw.limit_in_bytes {96 * MB}",
        f"memory.swap.max {32 * MB}",
    ),
    "memory.unlimited": Limit(
        "memory",
        "-1 is unlimited",
        {"memory": {"limit": -1, "swap": -1}},
        "memory.limit_in_bytes 9223372036854771712",
        "memory.max max",
    ),
    "memory.kernelTCP": Limit(
        "memory",
        "kernelTCP: the buffers of TCP",
        {"memory": {"kernelTCP": 16 * MB}},
        f"memory.kmem.tcp.limit_in_bytes {16 * MB}",
    ),
    "memory.swappiness": Limit("memory", "swappiness", {"memory": {"swappiness": 17}}, "memory.swappiness 17"),
    "memory.disableOOMKiller": Limit(
        "memory",
        "disableOOMKiller: true",
        {"memory": {"limit": 64 * MB, "disableOOMKiller": True}},
        "memory.oom_control oom_kill_disable 1",
    ),
    "cpu.shares": Limit("cpu", "shares: the relative weight", {"cpu": {"shares": 2}}, "cpu.shares 2", "cpu.weight 1"),
    "cpu.quota": Limit(
        "cpu",
        "quota: microseconds in a period",
        {"cpu": {"quota": 20000, "period": 100000}},
        "cpu.cfs_quota_us 20000",
        "cpu.max 20000 100000",
    ),
    "cpu.period": Limit(
        "cpu",
        "period: its length",
        {"cpu": {"quota": 20000, "period": 50000}},
        "cpu.cfs_period_us 50000",
        "cpu.max 20000 50000",
    ),
    "cpu.burst": Limit(
        "cpu",
        "burst: what may be saved up",
        {"cpu": {"quota": 20000, "period": 50000, "burst": 10000}},
        "cpu.cfs_burst_us 10000",
        "cpu.max.burst 10000",
    ),
    "cpu.idle": Limit(
        "cpu",
        "idle: the whole group only runs when nobody else does",
        {"cpu": {"idle": 1}},
        "cpu.idle 1",
        "cpu.idle 1",
    ),
    "cpu.cpus": Limit(
        "cpu", "cpus: the processors it runs on", {"cpu": {"cpus": "0"}}, "cpuset.cpus 0", "cpuset.cpus 0"
    ),
    "cpu.mems": Limit(
        "cpu", "mems: the memory nodes it uses", {"cpu": {"mems": "0"}}, "cpuset.mems 0", "cpuset.mems 0"
    ),
    "blockIO.weight": Limit(
        "block-io", "weight", {"blockIO": {"weight": 300}}, "blkio.bfq.weight 300", "io.bfq.weight default 300"
    ),
    "blockIO.throttleReadBpsDevice": Limit(
        "block-io",
        "throttleReadBpsDevice",
        {"blockIO": {"throttleReadBpsDevice": [{**DEVICE, "rate": 1048576}]}},
        "blkio.throttle.read_bps_device DEVICE 1048576",
        "io.max rbps=1048576",
    ),
    "blockIO.throttleWriteBpsDevice": Limit(
        "block-io",
        "throttleWriteBpsDevice",
        {"blockIO": {"throttleWriteBpsDevice": [{**DEVICE, "rate": 2097152}]}},
        "blkio.throttle.write_bps_device DEVICE 2097152",
        "io.max wbps=2097152",
    ),
    "blockIO.throttleReadIOPSDevice": Limit(
        "block-io",
        "throttleReadIOPSDevice",
        {"blockIO": {"throttleReadIOPSDevice": [{**DEVICE, "rate": 100}]}},
        "blkio.throttle.read_iops_device DEVICE 100",
        "io.max riops=100",
    ),
    "blockIO.throttleWriteIOPSDevice": Limit(
        "block-io",
        "throttleWriteIOPSDevice",
        {"blockIO": {"throttleWriteIOPSDevice": [{**DEVICE, "rate": 200}]}},
        "blkio.throttle.write_iops_device DEVICE 200",
        "io.max wiops=200",
    ),
    "hugepageLimits": Limit(
        "huge-page-limits",
        "limit by page size",
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MB}]},
        f"hugetlb.2MB.limit_in_bytes {4 * MB}",
        f"hugetlb.2MB.max {4 * MB}",
    ),
    "network.classID": Limit(
        "network", "classID tags the packets", {"network": {"classID": 1048577}}, "net_cls.classid 1048577"
    ),
    "network.priorities": Limit(
        "network",
        "priorities by interface",
        {"network": {"priorities": [{"name": "lo", "priority": 5}]}},
        "net_prio.ifpriomap lo 5",
    ),
    "pids.limit": Limit("pids", "limit: the most tasks", {"pids": {"limit": 37}}, "pids.max 37", "pids.max 37"),
    "rdma": Limit(
        "rdma",
        "handles and objects by device",
        {"rdma": {"mlx5_0": {"hcaHandles": 3}}},
        "rdma.max mlx5_0 hca_handle=3",
        "rdma.max mlx5_0 hca_handle=3",
    ),
}

NOT_VALID: dict[str, tuple[str, str, dict[str, Any]]] = {
    "swappiness": ("memory", "swappiness is at most 100", {"memory": {"swappiness": 101}}),
    "burst": (
        "cpu",
        "burst is no larger than quota",
        {"cpu": {"quota": 10000, "period": 50000, "burst": 20000}},
    ),
    "cpus": ("cpu", "cpus that the machine does not have are an error", {"cpu": {"cpus": "4000"}}),
    "pageSize": (
        "huge-page-limits",
        "a page size that the machine does not have is an error",
        {"hugepageLimits": [{"pageSize": "3MB", "limit": 3 * MB}]},
    ),
    "memory": (
        "memory",
        "memory plus swap below the memory limit is an error",
        {"memory": {"limit": 64 * MB, "swap": 32 * MB}},
    ),
}
"""Values that are errors: section, what it says, the value."""
