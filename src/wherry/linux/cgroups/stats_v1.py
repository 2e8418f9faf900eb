"""Reading the counters of cgroup v1."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from wherry.linux.cgroups import files
from wherry.linux.cgroups.base import Cgroups
from wherry.linux.cgroups.files import CgroupError
from wherry.linux.cgroups.stats import UNLIMITED, BlockCounter, CgroupStats, flat, number

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

_Reader = Callable[[str, str], str]


def read_v1(cgroups: Cgroups, path: str) -> CgroupStats:
    """The counters of a group; those of a controller that is not mounted are 0. Raises CgroupError when it is gone."""
    if not cgroups.exists(path):
        raise CgroupError(f"cgroup {path} does not exist")

    def text(controller: str, name: str) -> str:
        if controller not in cgroups.controllers:
            return ""
        return files.read_or(f"{cgroups.directory(path, controller)}/{name}")

    ticks = flat(text("cpuacct", "cpuacct.stat"))
    bandwidth = flat(text("cpu", "cpu.stat"))
    limit = number(text("pids", "pids.max"))
    return CgroupStats(
        cpu_total=number(text("cpuacct", "cpuacct.usage")),
        cpu_user=ticks.get("user", 0) * _TICK,
        cpu_system=ticks.get("system", 0) * _TICK,
        per_cpu=tuple(int(value) for value in text("cpuacct", "cpuacct.usage_percpu").split()),
        periods=bandwidth.get("nr_periods", 0),
        throttled_periods=bandwidth.get("nr_throttled", 0),
        throttled_time=bandwidth.get("throttled_time", 0),
        memory_usage=number(text("memory", "memory.usage_in_bytes")),
        memory_peak=number(text("memory", "memory.max_usage_in_bytes")),
        memory_limit=number(text("memory", "memory.limit_in_bytes"), UNLIMITED),
        memory_failures=number(text("memory", "memory.failcnt")),
        memory=flat(text("memory", "memory.stat")),
        pids=number(text("pids", "pids.current")),
        pids_limit=0 if limit == UNLIMITED else limit,
        block_bytes=_block(text, "io_service_bytes"),
        block_operations=_block(text, "io_serviced"),
    )


def _block(text: _Reader, name: str) -> tuple[BlockCounter, ...]:
    """The scheduler's own counters where it has them (bfq), else those of the throttling layer, which always counts."""
    for prefix in ("blkio.bfq", "blkio.throttle"):
        if counters := tuple(_counters(text("blkio", f"{prefix}.{name}_recursive"))):
            return counters
    return ()


def _counters(content: str) -> Iterator[BlockCounter]:
    """``8:0 Read 4096`` lines; the grand total has no device and is left out."""
    for line in content.splitlines():
        fields = line.split()
        major, colon, minor = fields[0].partition(":") if fields else ("", "", "")
        if len(fields) == 3 and colon and fields[2].isdigit():
            yield BlockCounter(int(major), int(minor), fields[1], int(fields[2]))
