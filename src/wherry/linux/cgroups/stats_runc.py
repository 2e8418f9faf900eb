"""What a control group uses, in the shape of ``runc events``: an object per resource, without Go's empty values.

The shape is runc's ``types.Stats``, which containerd's older shims and cAdvisor read. Sizes in bytes, times in ns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from wherry.linux.cgroups import files
from wherry.linux.cgroups.base import Cgroups
from wherry.linux.cgroups.files import CgroupError
from wherry.linux.cgroups.stats import UNLIMITED, flat, number

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_HUGEPAGES = "/sys/kernel/mm/hugepages"
_CPUSET = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)
# Name in the output → file, with and without the bfq scheduler's debugging, the old cfq's, and the throttling layer's.
_BLOCK = {
    "ioServiceBytesRecursive": "io_service_bytes_recursive",
    "ioServicedRecursive": "io_serviced_recursive",
    "ioQueueRecursive": "io_queued_recursive",
    "ioServiceTimeRecursive": "io_service_time_recursive",
    "ioWaitTimeRecursive": "io_wait_time_recursive",
    "ioMergedRecursive": "io_merged_recursive",
    "ioTimeRecursive": "time_recursive",
    "sectorsRecursive": "sectors_recursive",
}

Read = Callable[[str, str], str]
"""The text of a control file, by controller and name; empty where there is none."""


def runc_stats(cgroups: Cgroups, path: str) -> dict[str, Any]:
    """The ``data`` of a ``stats`` event. Raises CgroupError when the group is gone."""
    if not cgroups.exists(path):
        raise CgroupError(f"cgroup {path} does not exist")

    def read(controller: str, name: str) -> str:
        for tree in cgroups.hierarchies:
            if tree.unified or controller in tree.controllers:
                return files.read_or(f"{tree.at(path)}/{name}")
        return ""

    if cgroups.version == 1:
        cpu, memory, blkio, cpuset = _cpu_v1(read), _memory_v1(read), _block_v1(read), _cpuset_v1(read)
        hugetlb = {
            size: _hugetlb_v1(read, size) for size in _page_sizes() if read("hugetlb", f"hugetlb.{size}.failcnt")
        }
        tasks = 0
    else:
        cpu, memory, blkio, cpuset = _cpu_v2(read), _memory_v2(read), _block_v2(read), dict.fromkeys(_CPUSET, 0)
        hugetlb = {
            size: _hugetlb_v2(read, size) for size in _page_sizes() if read("hugetlb", f"hugetlb.{size}.current")
        }
        tasks = len(cgroups.procs(path))
    current, limit = read("pids", "pids.current"), number(read("pids", "pids.max"))
    return {
        "cpu": cpu,
        "cpuset": cpuset,
        "memory": memory,
        "pids": _filled(current=number(current) if current else tasks, limit=0 if limit == UNLIMITED else limit),
        "blkio": blkio,
        "hugetlb": hugetlb,
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _filled(**values: Any) -> dict[str, Any]:
    """Without what Go calls empty."""
    return {name: value for name, value in values.items() if value}


def _cpu_v1(read: Read) -> dict[str, Any]:
    ticks = flat(read("cpuacct", "cpuacct.stat"))
    rows = [line.split() for line in read("cpuacct", "cpuacct.usage_all").splitlines()[1:]]
    bandwidth = flat(read("cpu", "cpu.stat"))
    usage = _filled(
        total=number(read("cpuacct", "cpuacct.usage")),
        percpu=[int(value) for value in read("cpuacct", "cpuacct.usage_percpu").split()],
        percpu_kernel=[int(row[2]) for row in rows if len(row) == 3],
        percpu_user=[int(row[1]) for row in rows if len(row) == 3],
    )
    usage |= {"kernel": ticks.get("system", 0) * _TICK, "user": ticks.get("user", 0) * _TICK}
    return {"usage": usage, "throttling": _throttling(bandwidth, bandwidth.get("throttled_time", 0))}


def _cpu_v2(read: Read) -> dict[str, Any]:
    times = flat(read("cpu", "cpu.stat"))
    usage = _filled(total=times.get("usage_usec", 0) * 1000)
    usage |= {"kernel": times.get("system_usec", 0) * 1000, "user": times.get("user_usec", 0) * 1000}
    return {"usage": usage, "throttling": _throttling(times, times.get("throttled_usec", 0) * 1000)}


def _throttling(counters: dict[str, int], nanoseconds: int) -> dict[str, Any]:
    return _filled(
        periods=counters.get("nr_periods", 0),
        throttledPeriods=counters.get("nr_throttled", 0),
        throttledTime=nanoseconds,
    )


def _cpuset_v1(read: Read) -> dict[str, Any]:
    values: dict[str, Any] = {name: int(read("cpuset", f"cpuset.{name}").strip() or 0) for name in _CPUSET}
    lists = _filled(cpus=_numbers(read("cpuset", "cpuset.cpus")), mems=_numbers(read("cpuset", "cpuset.mems")))
    return {**lists, **values}


def _numbers(ranges: str) -> list[int]:
    found: list[int] = []
    for part in filter(None, ranges.strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _memory_v1(read: Read) -> dict[str, Any]:
    counters = flat(read("memory", "memory.stat"))

    def entry(prefix: str) -> dict[str, Any]:
        name = f"memory.{prefix}"
        values = {key: number(read("memory", f"{name}{key}")) for key in ("limit_in_bytes", "failcnt")}
        used = _filled(
            usage=number(read("memory", f"{name}usage_in_bytes")),
            max=number(read("memory", f"{name}max_usage_in_bytes")),
        )
        return {"limit": values["limit_in_bytes"], **used, "failcnt": values["failcnt"]}

    return {
        **_filled(cache=counters.get("cache", 0)),
        "usage": entry(""),
        "swap": entry("memsw."),
        "kernel": entry("kmem."),
        "kernelTCP": entry("kmem.tcp."),
        **_filled(raw=dict(sorted(counters.items()))),
    }


def _memory_v2(read: Read) -> dict[str, Any]:
    """Swap with memory, as v1 has it."""
    counters = flat(read("memory", "memory.stat"))
    usage, limit = number(read("memory", "memory.current")), number(read("memory", "memory.max"))
    swap, swap_limit = number(read("memory", "memory.swap.current")), number(read("memory", "memory.swap.max"))
    total = UNLIMITED if UNLIMITED in (limit, swap_limit) else limit + swap_limit
    events = flat(read("memory", "memory.events"))
    peak = number(read("memory", "memory.peak"))
    none = {"limit": 0, "failcnt": 0}
    return {
        **_filled(cache=counters.get("file", 0)),
        "usage": {"limit": limit, **_filled(usage=usage, max=peak), "failcnt": events.get("max", 0)},
        "swap": {"limit": total, **_filled(usage=usage + swap), "failcnt": 0},
        "kernel": none,
        "kernelTCP": none,
        **_filled(raw=dict(sorted(counters.items()))),
    }


def _block_v1(read: Read) -> dict[str, Any]:
    """Of the layers that count, the first that has counted anything."""
    for prefix, kinds in (
        ("blkio.bfq.", _BLOCK),
        ("blkio.bfq.", tuple(_BLOCK)[:2]),
        ("blkio.", _BLOCK),
        ("blkio.throttle.", tuple(_BLOCK)[:2]),
    ):
        found = {kind: _entries(read("blkio", f"{prefix}{_BLOCK[kind]}")) for kind in kinds}
        if all(kind in found and found[kind] for kind in kinds):
            return found
    return {}


def _entries(content: str) -> list[dict[str, Any]]:
    """``8:0 Read 4096`` or ``8:0 4096`` lines; the grand total has no device."""
    entries = []
    for line in content.splitlines():
        device, *rest = line.split()
        major, colon, minor = device.partition(":")
        if colon and rest:
            op = rest[0] if len(rest) == 2 else ""
            entries.append(_filled(major=int(major), minor=int(minor), op=op, value=int(rest[-1])))
    return entries


def _block_v2(read: Read) -> dict[str, Any]:
    lines = [line.split() for line in read("io", "io.stat").splitlines()]
    pairs = (("ioServiceBytesRecursive", "bytes"), ("ioServicedRecursive", "ios"))
    return _filled(**{kind: list(_devices(lines, suffix)) for kind, suffix in pairs})


def _devices(lines: list[list[str]], suffix: str) -> Iterator[dict[str, Any]]:
    for device, *fields in filter(None, lines):
        major, colon, minor = device.partition(":")
        values = dict(field.split("=", 1) for field in fields if "=" in field)
        for key, op in ((f"r{suffix}", "Read"), (f"w{suffix}", "Write")):
            if colon and key in values:
                yield _filled(major=int(major), minor=int(minor), op=op, value=int(values[key]))


def _hugetlb_v1(read: Read, size: str) -> dict[str, Any]:
    usage, peak, failures = (
        number(read("hugetlb", f"hugetlb.{size}.{name}"))
        for name in ("usage_in_bytes", "max_usage_in_bytes", "failcnt")
    )
    return {**_filled(usage=usage, max=peak), "failcnt": failures}


def _hugetlb_v2(read: Read, size: str) -> dict[str, Any]:
    events = flat(read("hugetlb", f"hugetlb.{size}.events"))
    return {**_filled(usage=number(read("hugetlb", f"hugetlb.{size}.current"))), "failcnt": events.get("max", 0)}


def _page_sizes() -> list[str]:
    """The kernel's sizes of huge pages as control files have them: ``2MB``."""
    try:
        names = os.listdir(_HUGEPAGES)
    except FileNotFoundError:
        return []
    sizes = []
    for name in names:
        kib = name.removeprefix("hugepages-").removesuffix("kB")
        if kib.isdigit():
            size, unit = int(kib), 0
            while size >= 1024 and size % 1024 == 0:
                size, unit = size // 1024, unit + 1
            sizes.append(f"{size}{('KB', 'MB', 'GB', 'TB')[unit]}")
    return sorted(sizes)
