"""Container statistics as ``GET /containers/{id}/stats`` writes them: snake case, times in ns, sizes in bytes."""

from __future__ import annotations

import msgspec

from wherry.lib.clock import ZERO
from wherry.wire.fields import always, null


class StatsWire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the statistics models, whose JSON names are the attribute names."""


class PidsStats(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """Processes and threads in the container's cgroup; limit 0 is none."""

    current: int = 0
    limit: int = 0


class BlkioStatEntry(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """One counter of one block device."""

    major: int = always(int)
    minor: int = always(int)
    op: str = always(str)
    value: int = always(int)


class BlkioStats(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """Block I/O; null where the kernel does not count."""

    io_service_bytes_recursive: list[BlkioStatEntry] | None = always(null)
    io_serviced_recursive: list[BlkioStatEntry] | None = always(null)
    io_queue_recursive: list[BlkioStatEntry] | None = always(null)
    io_service_time_recursive: list[BlkioStatEntry] | None = always(null)
    io_wait_time_recursive: list[BlkioStatEntry] | None = always(null)
    io_merged_recursive: list[BlkioStatEntry] | None = always(null)
    io_time_recursive: list[BlkioStatEntry] | None = always(null)
    sectors_recursive: list[BlkioStatEntry] | None = always(null)


class CpuUsage(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """CPU time consumed, ns; the per-CPU list only on cgroup v1."""

    total_usage: int = always(int)
    percpu_usage: list[int] | None = None
    usage_in_kernelmode: int = always(int)
    usage_in_usermode: int = always(int)


class ThrottlingData(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """How often and how long (ns) the CPU quota held the container back."""

    periods: int = always(int)
    throttled_periods: int = always(int)
    throttled_time: int = always(int)


class CpuStats(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """CPU use; ``system_cpu_usage`` is the host's total over all CPUs, ns."""

    cpu_usage: CpuUsage = always(CpuUsage)
    system_cpu_usage: int = 0
    online_cpus: int = 0
    throttling_data: ThrottlingData = always(ThrottlingData)


class MemoryStats(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """Memory use in bytes; ``stats`` is the kernel's memory.stat, ``max_usage`` and ``failcnt`` only on cgroup v1."""

    usage: int = 0
    max_usage: int = 0
    stats: dict[str, int] | None = None
    failcnt: int = 0
    limit: int = 0


class NetworkStats(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """Counters of one interface, seen from inside the container."""

    rx_bytes: int = always(int)
    rx_packets: int = always(int)
    rx_errors: int = always(int)
    rx_dropped: int = always(int)
    tx_bytes: int = always(int)
    tx_packets: int = always(int)
    tx_errors: int = always(int)
    tx_dropped: int = always(int)


class StorageStats(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """Windows only; always ``{}`` here."""


class StatsResponse(StatsWire, frozen=True, kw_only=True, omit_defaults=True):
    """One sample, and the CPU part of the one before it. A container that does not run has zeros throughout."""

    name: str = ""
    id: str = ""
    read: str = always(lambda: ZERO)
    preread: str = always(lambda: ZERO)
    pids_stats: PidsStats = always(PidsStats)
    blkio_stats: BlkioStats = always(BlkioStats)
    num_procs: int = always(int)
    storage_stats: StorageStats = always(StorageStats)
    cpu_stats: CpuStats = always(CpuStats)
    precpu_stats: CpuStats = always(CpuStats)
    memory_stats: MemoryStats = always(MemoryStats)
    networks: dict[str, NetworkStats] | None = None
