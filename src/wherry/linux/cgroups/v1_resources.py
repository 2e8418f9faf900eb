"""From an OCI ``linux.resources`` object to the writes it means on cgroup v1. Pure; imports nothing.

A write is (controller, file, value); a file whose name starts with ``?`` need not be there. Writes in one group may
have to swap places: the kernel wants memory ≤ memory+swap, and quota/period within the parent's, at every instant,
whatever the old values were.

``entry_plan`` is what a process's entry depends on: an empty cpuset takes nobody, a group without real-time bandwidth
no real-time process. runc writes these first too, and says so in its errors.
"""

from __future__ import annotations

from wherry.linux.cgroups.files import LimitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Write = tuple[str, str, str]
    Group = list[Write]

# The same control under the name that the bfq scheduler gives it.
ALTERNATIVES = {"blkio.weight": "blkio.bfq.weight", "blkio.weight_device": "blkio.bfq.weight_device"}

_THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
)


def entry_plan(resources: Mapping[str, Any]) -> list[Group]:
    """The groups of writes that come first, in order: cpuset and real-time scheduling."""
    cpu = resources.get("cpu") or {}
    pairs = (("cpuset.cpus", cpu.get("cpus")), ("cpuset.mems", cpu.get("mems")))
    groups: list[Group] = [[("cpuset", name, value)] for name, value in pairs if value]
    realtime: Group = []
    if period := cpu.get("realtimePeriod"):
        realtime.append(("cpu", "cpu.rt_period_us", str(period)))
    if runtime := cpu.get("realtimeRuntime"):
        realtime.append(("cpu", "cpu.rt_runtime_us", str(runtime)))
    return [*groups, realtime] if realtime else groups


def plan(resources: Mapping[str, Any]) -> list[Group]:
    """The other groups, in order; devices apart. Raises LimitError for what v1 cannot express."""
    return [
        *_memory(resources.get("memory") or {}),
        *_cpu(resources.get("cpu") or {}),
        *_pids(resources.get("pids") or {}),
        *_block_io(resources.get("blockIO") or {}),
        *_hugepages(resources.get("hugepageLimits") or []),
        *_network(resources.get("network") or {}),
        *([write] for write in rdma(resources.get("rdma") or {})),
    ]


def _memory(memory: Mapping[str, Any]) -> list[Group]:
    limit, swap = memory.get("limit"), memory.get("swap")
    pair: Group = []
    if limit:
        pair.append(("memory", "memory.limit_in_bytes", str(limit)))
    if swap:
        pair.append(("memory", "memory.memsw.limit_in_bytes", str(swap)))
    elif limit == -1:
        # A total below "no limit" would keep the old total as the limit.
        pair.append(("memory", "?memory.memsw.limit_in_bytes", "-1"))
    groups = [pair] if pair else []
    if reservation := memory.get("reservation"):
        groups.append([("memory", "memory.soft_limit_in_bytes", str(reservation))])
    # "kernel" is not there any more since Linux 5.16, and no runtime sets it.
    if tcp := memory.get("kernelTCP"):
        groups.append([("memory", "memory.kmem.tcp.limit_in_bytes", str(tcp))])
    if memory.get("useHierarchy"):
        groups.append([("memory", "?memory.use_hierarchy", "1")])
    if memory.get("disableOOMKiller"):
        groups.append([("memory", "memory.oom_control", "1")])
    swappiness = memory.get("swappiness")
    if swappiness is not None and swappiness != -1:
        if not 0 <= swappiness <= 100:
            raise LimitError(f"invalid memory swappiness value: {swappiness} (valid range is 0-100)")
        groups.append([("memory", "memory.swappiness", str(swappiness))])
    return groups


def _cpu(cpu: Mapping[str, Any]) -> list[Group]:
    groups: list[Group] = []
    if shares := cpu.get("shares"):
        groups.append([("cpu", "cpu.shares", str(shares))])
    bandwidth: Group = []
    if period := cpu.get("period"):
        bandwidth.append(("cpu", "cpu.cfs_period_us", str(period)))
    if (burst := cpu.get("burst")) is not None:
        bandwidth.append(("cpu", "?cpu.cfs_burst_us", str(burst)))
    if quota := cpu.get("quota"):
        bandwidth.append(("cpu", "cpu.cfs_quota_us", str(quota)))
    if bandwidth:
        groups.append(bandwidth)
    if (idle := cpu.get("idle")) is not None:
        groups.append([("cpu", "cpu.idle", str(idle))])
    return groups


def _pids(pids: Mapping[str, Any]) -> list[Group]:
    limit = pids.get("limit")
    if not limit:
        return []
    return [[("pids", "pids.max", str(limit) if limit > 0 else "max")]]


def _block_io(block: Mapping[str, Any]) -> list[Group]:
    groups: list[Group] = []
    if weight := block.get("weight"):
        groups.append([("blkio", "blkio.weight", str(weight))])
    if weight := block.get("leafWeight"):
        groups.append([("blkio", "blkio.leaf_weight", str(weight))])
    for device in block.get("weightDevice") or []:
        for key, name in (("weight", "blkio.weight_device"), ("leafWeight", "blkio.leaf_weight_device")):
            if device.get(key):
                groups.append([("blkio", name, _device_value(device, key))])
    for key, name in _THROTTLES:
        groups += [[("blkio", name, _device_value(device, "rate"))] for device in block.get(key) or []]
    return groups


def _device_value(device: Mapping[str, Any], key: str) -> str:
    """``8:0 1048576``: one number for one block device."""
    return f"{device['major']}:{device['minor']} {device[key]}"


def _hugepages(limits: list[Mapping[str, Any]]) -> list[Group]:
    groups: list[Group] = []
    for item in limits:
        size, limit = page_size(item), str(item["limit"])
        groups.append([("hugetlb", f"hugetlb.{size}.limit_in_bytes", limit)])
        groups.append([("hugetlb", f"?hugetlb.{size}.rsvd.limit_in_bytes", limit)])
    return groups


def page_size(item: Mapping[str, Any]) -> str:
    """The page size of a huge page limit (``2MB``), checked because it becomes part of a file name."""
    size = str(item.get("pageSize", ""))
    if not size.isalnum() or not size.isascii():
        raise LimitError(f"invalid huge page size {size!r}")
    return size


def rdma(devices: Mapping[str, Mapping[str, int]]) -> list[Write]:
    """``mlx4_0 hca_handle=2 hca_object=2000`` for each device; the same file on v1 and v2."""
    writes: list[Write] = []
    for device, limits in devices.items():
        parts = [device]
        if limits.get("hcaHandles") is not None:
            parts.append(f"hca_handle={limits['hcaHandles']}")
        if limits.get("hcaObjects") is not None:
            parts.append(f"hca_object={limits['hcaObjects']}")
        writes.append(("rdma", "rdma.max", " ".join(parts)))
    return writes


def _network(network: Mapping[str, Any]) -> list[Group]:
    class_id = network.get("classID")
    groups: list[Group] = [[("net_cls", "net_cls.classid", str(class_id))]] if class_id else []
    priorities = [f"{item['name']} {item['priority']}" for item in network.get("priorities") or []]
    return groups + [[("net_prio", "net_prio.ifpriomap", value)] for value in priorities]
