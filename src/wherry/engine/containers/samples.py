"""Samples of what a container uses, and the numbers that the Engine API makes of two of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wherry.lib.clock import ZERO, now_ns, rfc3339
from wherry.linux.cgroups import Cgroups
from wherry.linux.cgroups.stats import BlockCounter, CgroupStats
from wherry.wire.stats import (
    BlkioStatEntry,
    BlkioStats,
    CpuStats,
    CpuUsage,
    MemoryStats,
    NetworkStats,
    PidsStats,
    StatsResponse,
    ThrottlingData,
)

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was measured at one instant."""

    read_at: int
    """ns since the epoch."""
    cgroup: CgroupStats
    system_cpu: int
    """CPU time of the whole machine since it booted, ns, over all CPUs."""
    online_cpus: int
    networks: dict[str, NetworkStats] | None = field(default=None)


def take_sample(cgroups: Cgroups, path: str, *, pid: int, networked: bool) -> Sample:
    """Measure now. ``pid`` is a process in the container's network. Reads some twenty small files: not for the loop.

    Raises CgroupError when the group is gone.
    """
    stats = cgroups.stats(path)
    system_cpu, online = parse_proc_stat(_read("/proc/stat"))
    networks = parse_net_dev(_read(f"/proc/{pid}/net/dev")) if networked else None
    return Sample(read_at=now_ns(), cgroup=stats, system_cpu=system_cpu, online_cpus=online, networks=networks)


def build_response(
    container_id: str, name: str, sample: Sample, previous: Sample | None, *, machine_memory: int
) -> StatsResponse:
    """The answer as dockerd gives it; ``name`` with its slash. A limit above the machine's memory is that memory."""
    used = sample.cgroup
    return StatsResponse(
        name=name,
        id=container_id,
        read=rfc3339(sample.read_at),
        preread=rfc3339(previous.read_at) if previous else ZERO,
        pids_stats=PidsStats(current=used.pids, limit=used.pids_limit),
        blkio_stats=_block(used),
        cpu_stats=_cpu(sample),
        precpu_stats=_cpu(previous) if previous else CpuStats(),
        memory_stats=_memory(used, machine_memory),
        networks=sample.networks or None,
    )


def machine_memory() -> int:
    """The machine's memory, bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def parse_proc_stat(text: str) -> tuple[int, int]:
    """CPU time of the machine (ns; user to softirq, as dockerd counts) and how many CPUs are online."""
    total = 0
    online = 0
    for line in text.splitlines():
        name, *values = line.split()
        if name == "cpu":
            total = sum(int(value) for value in values[:7]) * _TICK
        elif name.startswith("cpu"):
            online += 1
    return total, online


def parse_net_dev(text: str) -> dict[str, NetworkStats]:
    """The counters of each interface but the loopback, from /proc/<pid>/net/dev."""
    networks = {}
    for line in text.splitlines():
        name, colon, counters = line.partition(":")
        values = counters.split()
        if not colon or name.strip() == "lo" or len(values) < 12:
            continue
        numbers = [int(value) for value in values]
        networks[name.strip()] = NetworkStats(
            rx_bytes=numbers[0],
            rx_packets=numbers[1],
            rx_errors=numbers[2],
            rx_dropped=numbers[3],
            tx_bytes=numbers[8],
            tx_packets=numbers[9],
            tx_errors=numbers[10],
            tx_dropped=numbers[11],
        )
    return networks


def _cpu(sample: Sample) -> CpuStats:
    used = sample.cgroup
    return CpuStats(
        cpu_usage=CpuUsage(
            total_usage=used.cpu_total,
            percpu_usage=list(used.per_cpu) or None,
            usage_in_kernelmode=used.cpu_system,
            usage_in_usermode=used.cpu_user,
        ),
        system_cpu_usage=sample.system_cpu,
        online_cpus=sample.online_cpus,
        throttling_data=ThrottlingData(
            periods=used.periods, throttled_periods=used.throttled_periods, throttled_time=used.throttled_time
        ),
    )


def _memory(used: CgroupStats, machine: int) -> MemoryStats:
    return MemoryStats(
        usage=used.memory_usage,
        max_usage=used.memory_peak if used.per_cpu else 0,  # v2 had no peak when dockerd was written
        stats=used.memory,
        failcnt=used.memory_failures,
        limit=min(used.memory_limit, machine),
    )


def _block(used: CgroupStats) -> BlkioStats:
    """Empty lists on v1, null on v2, for what nothing counts any more: dockerd's answers."""
    nothing: list[BlkioStatEntry] | None = [] if used.per_cpu else None
    return BlkioStats(
        io_service_bytes_recursive=_entries(used.block_bytes) or nothing,
        io_serviced_recursive=_entries(used.block_operations) or nothing,
        io_queue_recursive=nothing,
        io_service_time_recursive=nothing,
        io_wait_time_recursive=nothing,
        io_merged_recursive=nothing,
        io_time_recursive=nothing,
        sectors_recursive=nothing,
    )


def _entries(counters: Iterable[BlockCounter]) -> list[BlkioStatEntry]:
    return [BlkioStatEntry(major=one.major, minor=one.minor, op=one.op, value=one.value) for one in counters]


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(_LARGEST).decode()
    except OSError:
        return ""
