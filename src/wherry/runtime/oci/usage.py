"""What a container uses, as the ``data`` of runc's stats event (its ``types.Stats``). Numbers that are 0 are left out
where runc leaves them out.
"""

from __future__ import annotations

from wherry.linux.cgroups import CgroupError, files
from wherry.linux.cgroups.stats import UNLIMITED, BlockCounter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from wherry.linux.cgroups import Cgroups

    Json = dict[str, Any]

_CPUSET = (
    ("cpu_exclusive", "cpuset.cpu_exclusive"),
    ("mem_hardwall", "cpuset.mem_hardwall"),
    ("mem_exclusive", "cpuset.mem_exclusive"),
    ("memory_migrate", "cpuset.memory_migrate"),
    ("memory_spread_page", "cpuset.memory_spread_page"),
    ("memory_spread_slab", "cpuset.memory_spread_slab"),
    ("memory_pressure", "cpuset.memory_pressure"),
    ("sched_load_balance", "cpuset.sched_load_balance"),
    ("sched_relax_domain_level", "cpuset.sched_relax_domain_level"),
)
_MEMORY = (("swap", "memory.memsw"), ("kernel", "memory.kmem"), ("kernelTCP", "memory.kmem.tcp"))


def usage(cgroups: Cgroups, path: str) -> Json:
    """The object. Raises CgroupError when the group is gone."""
    stats = cgroups.stats(path)
    v1 = cgroups.version == 1
    memory: Json = _present(cache=stats.memory.get("cache" if v1 else "file", 0))
    memory["usage"] = _entry(stats.memory_limit, stats.memory_usage, stats.memory_peak, stats.memory_failures)
    for name, prefix in _MEMORY:
        memory[name] = _memory_v1(cgroups, path, prefix) if v1 else {"limit": 0, "failcnt": 0}
    if not v1:
        memory["swap"] = _swap_v2(cgroups, path)
    if stats.memory:
        memory["raw"] = dict(sorted(stats.memory.items()))
    throttling = _present(
        periods=stats.periods, throttledPeriods=stats.throttled_periods, throttledTime=stats.throttled_time
    )
    cpu = _present(total=stats.cpu_total, percpu=list(stats.per_cpu))
    return {
        "cpu": {"usage": {**cpu, "kernel": stats.cpu_system, "user": stats.cpu_user}, "throttling": throttling},
        "cpuset": _cpuset(cgroups, path),
        "memory": memory,
        "pids": _present(current=stats.pids, limit=stats.pids_limit),
        "blkio": _present(
            ioServiceBytesRecursive=_devices(stats.block_bytes), ioServicedRecursive=_devices(stats.block_operations)
        ),
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _present(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value}


def _entry(limit: int, used: int, peak: int, failures: int) -> Json:
    return {"limit": limit, **_present(usage=used, max=peak), "failcnt": failures}


def _memory_v1(cgroups: Cgroups, path: str, prefix: str) -> Json:
    names = ("limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt")
    limit, used, peak, failures = (_read(cgroups, path, "memory", f"{prefix}.{name}") for name in names)
    return _entry(limit, used, peak, failures)


def _swap_v2(cgroups: Cgroups, path: str) -> Json:
    names = ("memory.swap.max", "memory.swap.current", "memory.swap.peak")
    limit, used, peak = (_read(cgroups, path, "memory", name) for name in names)
    return _entry(limit, used, peak, 0)


def _cpuset(cgroups: Cgroups, path: str) -> Json:
    cpus, mems = (_numbers(_text(cgroups, path, "cpuset", name)) for name in ("cpuset.cpus", "cpuset.mems"))
    fields = {name: _read(cgroups, path, "cpuset", file) for name, file in _CPUSET}
    exclusive = {"cpu_exclusive": fields.pop("cpu_exclusive")}
    return {**_present(cpus=cpus), **exclusive, **_present(mems=mems), **fields}


def _devices(counters: Iterable[BlockCounter]) -> list[Json]:
    return [
        _present(major=counter.major, minor=counter.minor, op=counter.op, value=counter.value) for counter in counters
    ]


def _read(cgroups: Cgroups, path: str, controller: str, file: str) -> int:
    text = _text(cgroups, path, controller, file).strip()
    if text == "max":
        return UNLIMITED
    return int(text) if text.lstrip("-").isdigit() else 0


def _text(cgroups: Cgroups, path: str, controller: str, file: str) -> str:
    """Empty where the machine does not offer it."""
    try:
        return files.read_or(f"{cgroups.directory(path, controller)}/{file}")
    except (CgroupError, OSError):
        return ""


def _numbers(ranges: str) -> list[int]:
    """``0-2,7`` → 0, 1, 2, 7."""
    numbers: list[int] = []
    for part in ranges.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers += range(int(first), int(last or first) + 1)
    return numbers
