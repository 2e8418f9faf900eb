"""From an OCI ``linux.resources`` object, which speaks v1, to the writes it means on cgroup v2. Pure; imports nothing.

A write is (controller, file, value); the controller is empty for raw ``unified`` settings. The conversions are those of
the runtime spec's reference implementation, so that a limit reads the same under either.
"""

from __future__ import annotations

from wherry.linux.cgroups.files import CgroupError
from wherry.linux.cgroups.v1_resources import page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.v1_resources import Write

_THROTTLES = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)


def plan(resources: Mapping[str, Any]) -> list[Write]:
    """The writes, in order. Raises CgroupError for what v2 cannot express."""
    return [
        *_memory(resources.get("memory") or {}),
        *_cpu(resources.get("cpu") or {}),
        *_pids(resources.get("pids") or {}),
        *_block_io(resources.get("blockIO") or {}),
        *_hugepages(resources.get("hugepageLimits") or []),
        *_unified(resources.get("unified") or {}),
    ]


def cpu_weight(shares: int) -> int:
    """v1's 2…262144, default 1024, onto v2's 1…10000."""
    if shares >= 262144:
        return 10000
    return 1 + (max(shares, 2) - 2) * 9999 // 262142


def io_weight(weight: int) -> int:
    """v1's 10…1000 onto v2's 1…10000."""
    return 1 + (weight - 10) * 9999 // 990


def swap_alone(memory: int | None, total: int | None) -> str:
    """v1 limits memory plus swap, v2 swap alone; empty when nothing is to be set. Raises CgroupError."""
    if memory == -1 and not total:
        return "max"
    if total in (None, 0):
        return ""
    if total == -1:
        return "max"
    if not memory or memory == -1:
        raise CgroupError("unable to set swap limit without memory limit")
    if total is not None and total < memory:
        raise CgroupError("memory+swap limit should be >= memory limit")
    return str((total or 0) - memory)


def _limit(value: int) -> str:
    return "max" if value < 0 else str(value)


def _memory(memory: Mapping[str, Any]) -> list[Write]:
    limit, reservation = memory.get("limit"), memory.get("reservation")
    swap = swap_alone(limit, memory.get("swap"))
    writes: list[Write] = [("memory", "memory.swap.max", swap)] if swap else []
    if limit:
        writes.append(("memory", "memory.max", _limit(limit)))
    if reservation:
        writes.append(("memory", "memory.low", _limit(reservation)))
    return writes


def _cpu(cpu: Mapping[str, Any]) -> list[Write]:
    writes: list[Write] = []
    if (idle := cpu.get("idle")) is not None:
        writes.append(("cpu", "cpu.idle", str(idle)))
    if shares := cpu.get("shares"):
        writes.append(("cpu", "cpu.weight", str(cpu_weight(shares))))
    quota, period = cpu.get("quota"), cpu.get("period")
    if quota or period:
        writes.append(("cpu", "cpu.max", f"{quota if quota and quota > 0 else 'max'} {period or 100000}"))
    if burst := cpu.get("burst"):
        writes.append(("cpu", "cpu.max.burst", str(burst)))
    if cpus := cpu.get("cpus"):
        writes.append(("cpuset", "cpuset.cpus", cpus))
    if mems := cpu.get("mems"):
        writes.append(("cpuset", "cpuset.mems", mems))
    return writes


def _pids(pids: Mapping[str, Any]) -> list[Write]:
    limit = pids.get("limit")
    return [("pids", "pids.max", _limit(limit))] if limit else []


def _block_io(block: Mapping[str, Any]) -> list[Write]:
    writes: list[Write] = []
    if weight := block.get("weight"):
        writes.append(("io", "io.weight", f"default {io_weight(weight)}"))
    writes += [
        ("io", "io.weight", f"{item['major']}:{item['minor']} {io_weight(item['weight'])}")
        for item in block.get("weightDevice") or []
        if item.get("weight")
    ]
    for key, name in _THROTTLES:
        writes += [
            ("io", "io.max", f"{item['major']}:{item['minor']} {name}={item['rate'] or 'max'}")
            for item in block.get(key) or []
        ]
    return writes


def _hugepages(limits: list[Mapping[str, Any]]) -> list[Write]:
    return [("hugetlb", f"hugetlb.{page_size(item)}.max", str(item["limit"])) for item in limits]


def _unified(settings: Mapping[str, str]) -> list[Write]:
    for name in settings:
        if "/" in name or name.startswith(("cgroup.", ".")) or "." not in name:
            raise CgroupError(f"invalid unified cgroup setting {name!r}: not a controller's file")
    return [("", name, str(value)) for name, value in settings.items()]
