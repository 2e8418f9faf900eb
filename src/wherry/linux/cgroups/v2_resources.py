"""From an OCI ``linux.resources`` object, which speaks v1, to the writes it means on cgroup v2. Pure; imports nothing.

A write is (controller, file, value); a file whose name starts with ``?`` need not be there. The conversions are those
of runc 1.4, so that a limit reads the same under either. What v2 does not have (kernel memory, swappiness, the OOM
killer's switch, real-time bandwidth, network classes) is left out, as it does.
"""

from __future__ import annotations

import math

from wherry.linux.cgroups.files import LimitError
from wherry.linux.cgroups.v1_resources import page_size, rdma

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.v1_resources import Write

PERIOD = 100_000
"""µs: the kernel's own default."""
_THROTTLES = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)
# What moves, kills or stops processes limits nothing.
_NO_LIMITS = frozenset({"cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze"})


def plan(resources: Mapping[str, Any], *, bfq: bool = False) -> list[Write]:
    """The writes, in order, but for the devices and ``unified``. Raises LimitError for what v2 cannot express.

    ``bfq`` says that the I/O weight is that of the bfq scheduler, whose scale is v1's.
    """
    return [
        *_pids(resources.get("pids") or {}),
        *_memory(resources.get("memory") or {}),
        *_block_io(resources.get("blockIO") or {}, bfq=bfq),
        *_cpu(resources.get("cpu") or {}),
        *_cpuset(resources.get("cpu") or {}),
        *_hugepages(resources.get("hugepageLimits") or []),
        *rdma(resources.get("rdma") or {}),
    ]


def unified(settings: Mapping[str, str]) -> list[Write]:
    """The raw settings: each names its file. Raises LimitError for a name that is none."""
    writes: list[Write] = []
    for name, value in settings.items():
        if "/" in name:
            raise LimitError(f'unified resource "{name}" must be a file name (no slashes)')
        controller, dot, parameter = name.partition(".")
        if not controller or not dot or not parameter:
            raise LimitError(f'unified resource "{name}" must be in the form CONTROLLER.PARAMETER')
        if name in _NO_LIMITS:
            raise LimitError(f'unable to set unified resource "{name}": it limits nothing')
        writes.append((controller, name, str(value)))
    return writes


def complete(resources: Mapping[str, Any], *, memory_max: str, cpu_max: str) -> dict[str, Any]:
    """Resources with what v2 sets together and the caller has named only in part, from the files as they are."""
    memory, cpu = dict(resources.get("memory") or {}), dict(resources.get("cpu") or {})
    if (memory.get("swap") or 0) > 0 and not memory.get("limit") and memory_max.isdigit():
        memory["limit"] = int(memory_max)
    quota, _, period = cpu_max.partition(" ")
    if cpu.get("quota") and not cpu.get("period") and period.isdigit():
        cpu["period"] = int(period)
    if cpu.get("period") and not cpu.get("quota") and quota.isdigit():
        cpu["quota"] = int(quota)
    return {**resources, "memory": memory, "cpu": cpu}


def cpu_weight(shares: int) -> int:
    """v1's 2…262144, default 1024, onto v2's 1…10000, default 100: a curve through these three points."""
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def io_weight(weight: int) -> int:
    """v1's 10…1000 onto v2's 1…10000."""
    return 1 + (weight - 10) * 9999 // 990


def swap_alone(memory: int | None, total: int | None) -> str:
    """v1 limits memory plus swap, v2 swap alone; empty when nothing is to be set. Raises LimitError."""
    if memory == -1 and not total:
        return "max"
    if not total:
        return ""
    if total == -1:
        return "max"
    if memory == -1:
        return str(total)
    if not memory:
        raise LimitError("unable to set swap limit without memory limit")
    if memory < 0:
        raise LimitError(f"invalid memory value: {memory}")
    if total < memory:
        raise LimitError("memory+swap limit should be >= memory limit")
    return str(total - memory)


def check_usage(memory: Mapping[str, Any], usage: int) -> None:
    """``checkBeforeUpdate``: a limit that the kernel could only keep by killing is refused. Raises LimitError."""
    if not memory.get("checkBeforeUpdate"):
        return
    for name, key in (("memory+swap", "swap"), ("memory", "limit")):
        limit = memory.get(key) or 0
        if 0 < limit <= usage:
            raise LimitError(f"rejecting {name} limit {limit} <= usage {usage}")


def _limit(value: int) -> str:
    return "max" if value == -1 else str(value)


def _memory(memory: Mapping[str, Any]) -> list[Write]:
    limit, reservation = memory.get("limit"), memory.get("reservation")
    swap = swap_alone(limit, memory.get("swap"))
    # Without swap there is nothing to allow or to forbid.
    optional = "?" if swap in ("max", "0") else ""
    writes: list[Write] = [("memory", f"{optional}memory.swap.max", swap)] if swap else []
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
    quota, period, burst = cpu.get("quota"), cpu.get("period"), cpu.get("burst")
    if quota or period:
        if burst is not None:
            # A burst above the new quota would keep the kernel from lowering it.
            writes.append(("cpu", "cpu.max.burst", "0"))
        writes.append(("cpu", "cpu.max", f"{quota if quota and quota > 0 else 'max'} {period or PERIOD}"))
    if burst is not None:
        writes.append(("cpu", "cpu.max.burst", str(burst)))
    return writes


def _cpuset(cpu: Mapping[str, Any]) -> list[Write]:
    pairs = (("cpuset.cpus", cpu.get("cpus")), ("cpuset.mems", cpu.get("mems")))
    return [("cpuset", name, value) for name, value in pairs if value]


def _pids(pids: Mapping[str, Any]) -> list[Write]:
    limit = pids.get("limit")
    return [("pids", "pids.max", str(limit) if limit > 0 else "max")] if limit else []


def _block_io(block: Mapping[str, Any], *, bfq: bool) -> list[Write]:
    name = "io.bfq.weight" if bfq else "io.weight"

    def scaled(weight: int) -> int:
        return weight if bfq else io_weight(weight)

    writes: list[Write] = []
    if weight := block.get("weight"):
        writes.append(("io", name, str(scaled(weight))))
    writes += [
        ("io", name, f"{item['major']}:{item['minor']} {scaled(item['weight'])}")
        for item in block.get("weightDevice") or []
        if item.get("weight")
    ]
    for key, limit in _THROTTLES:
        writes += [
            ("io", "io.max", f"{item['major']}:{item['minor']} {limit}={item['rate'] or 'max'}")
            for item in block.get(key) or []
        ]
    return writes


def _hugepages(limits: list[Mapping[str, Any]]) -> list[Write]:
    writes: list[Write] = []
    for item in limits:
        size, limit = page_size(item), str(item["limit"])
        writes.append(("hugetlb", f"hugetlb.{size}.max", limit))
        writes.append(("hugetlb", f"?hugetlb.{size}.rsvd.max", limit))
    return writes
