"""From an OCI ``linux.resources`` object to the writes it means on cgroup v1. Pure; imports nothing.

A write is (controller, file, value). Writes in one group may have to swap places: the kernel wants memory ≤ memory+swap
and quota/period within the parent's at every instant, whatever the old values were.
"""

from __future__ import annotations

from wherry.linux.cgroups.files import CgroupError

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


def plan(resources: Mapping[str, Any]) -> list[Group]:
    """The groups of writes, in order. Raises CgroupError for what v1 cannot express."""
    groups = [
        *_memory(resources.get("memory") or {}),
        *_cpu(resources.get("cpu") or {}),
        *_cpuset(resources.get("cpu") or {}),
        *_pids(resources.get("pids") or {}),
        *_block_io(resources.get("blockIO") or {}),
        *_hugepages(resources.get("hugepageLimits") or []),
        *_network(resources.get("network") or {}),
        *_devices(resources.get("devices") or []),
    ]
    if resources.get("unified"):
        raise CgroupError("invalid configuration: unified cgroup settings need cgroup v2")
    return groups


def device_rule(rule: Mapping[str, Any]) -> str:
    """``c 1:3 rwm``: a device rule as the kernel and ``--device-cgroup-rule`` write it. Raises CgroupError."""
    kind = rule.get("type") or "a"
    access = rule.get("access") or "rwm"
    if kind not in ("a", "b", "c", "u", "p") or not access or set(access) - set("rwm"):
        raise CgroupError(f"invalid device cgroup rule: {dict(rule)!r}")
    if kind == "a":
        return "a *:* rwm" if access == "rwm" else f"a *:* {access}"
    return f"{'c' if kind == 'u' else kind} {number(rule.get('major'))}:{number(rule.get('minor'))} {access}"


def number(value: int | None) -> str:
    """A device number, ``*`` for any (absent or negative)."""
    return "*" if value is None or value < 0 else str(value)


def _memory(memory: Mapping[str, Any]) -> list[Group]:
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit == -1 and not swap:
        swap = -1  # a total below "no limit" would keep the old total as the limit
    pair: Group = []
    if limit:
        pair.append(("memory", "memory.limit_in_bytes", str(limit)))
    if swap:
        pair.append(("memory", "memory.memsw.limit_in_bytes", str(swap)))
    groups = [pair] if pair else []
    if reservation := memory.get("reservation"):
        groups.append([("memory", "memory.soft_limit_in_bytes", str(reservation))])
    if tcp := memory.get("kernelTCP"):
        groups.append([("memory", "memory.kmem.tcp.limit_in_bytes", str(tcp))])
    if memory.get("disableOOMKiller"):
        groups.append([("memory", "memory.oom_control", "1")])
    swappiness = memory.get("swappiness")
    if swappiness is not None and swappiness != -1:
        if not 0 <= swappiness <= 100:
            raise CgroupError(f"invalid memory swappiness value: {swappiness} (valid range is 0-100)")
        groups.append([("memory", "memory.swappiness", str(swappiness))])
    return groups


def _cpu(cpu: Mapping[str, Any]) -> list[Group]:
    groups: list[Group] = []
    if shares := cpu.get("shares"):
        groups.append([("cpu", "cpu.shares", str(shares))])
    realtime: Group = []
    if period := cpu.get("realtimePeriod"):
        realtime.append(("cpu", "cpu.rt_period_us", str(period)))
    if runtime := cpu.get("realtimeRuntime"):
        realtime.append(("cpu", "cpu.rt_runtime_us", str(runtime)))
    bandwidth: Group = []
    if period := cpu.get("period"):
        bandwidth.append(("cpu", "cpu.cfs_period_us", str(period)))
    if quota := cpu.get("quota"):
        bandwidth.append(("cpu", "cpu.cfs_quota_us", str(quota)))
    groups += [group for group in (realtime, bandwidth) if group]
    if burst := cpu.get("burst"):
        groups.append([("cpu", "cpu.cfs_burst_us", str(burst))])
    if (idle := cpu.get("idle")) is not None:
        groups.append([("cpu", "cpu.idle", str(idle))])
    return groups


def _cpuset(cpu: Mapping[str, Any]) -> list[Group]:
    pairs = (("cpuset.cpus", cpu.get("cpus")), ("cpuset.mems", cpu.get("mems")))
    return [[("cpuset", name, value)] for name, value in pairs if value]


def _pids(pids: Mapping[str, Any]) -> list[Group]:
    limit = pids.get("limit")
    if not limit:
        return []
    return [[("pids", "pids.max", str(limit) if limit > 0 else "max")]]


def _block_io(block: Mapping[str, Any]) -> list[Group]:
    groups: list[Group] = []
    if weight := block.get("weight"):
        groups.append([("blkio", "blkio.weight", str(weight))])
    weighted = [device for device in block.get("weightDevice") or [] if device.get("weight")]
    groups += [[("blkio", "blkio.weight_device", device_value(device, "weight"))] for device in weighted]
    for key, name in _THROTTLES:
        groups += [[("blkio", name, device_value(device, "rate"))] for device in block.get(key) or []]
    return groups


def device_value(device: Mapping[str, Any], key: str) -> str:
    """``8:0 1048576``: one number for one block device."""
    return f"{device['major']}:{device['minor']} {device[key]}"


def _hugepages(limits: list[Mapping[str, Any]]) -> list[Group]:
    return [[("hugetlb", f"hugetlb.{page_size(item)}.limit_in_bytes", str(item["limit"]))] for item in limits]


def page_size(item: Mapping[str, Any]) -> str:
    """The page size of a huge page limit (``2MB``), checked because it becomes part of a file name."""
    size = str(item.get("pageSize", ""))
    if not size.isalnum() or not size.isascii():
        raise CgroupError(f"invalid huge page size {size!r}")
    return size


def _network(network: Mapping[str, Any]) -> list[Group]:
    class_id = network.get("classID")
    groups: list[Group] = [[("net_cls", "net_cls.classid", str(class_id))]] if class_id else []
    priorities = [f"{item['name']} {item['priority']}" for item in network.get("priorities") or []]
    return groups + [[("net_prio", "net_prio.ifpriomap", value)] for value in priorities]


def _devices(rules: list[Mapping[str, Any]]) -> list[Group]:
    return [[("devices", f"devices.{'allow' if rule.get('allow') else 'deny'}", device_rule(rule))] for rule in rules]
