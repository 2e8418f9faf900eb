"""What the machine's control groups can limit, and dockerd's warnings where they cannot."""

from __future__ import annotations

import os
from dataclasses import dataclass

from wherry.linux.cgroups import Cgroups


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Which limits a container can be given."""

    version: int
    memory: bool
    swap: bool
    kernel_memory_tcp: bool
    oom_kill_disable: bool
    cfs_quota: bool
    shares: bool
    cpuset: bool
    pids: bool
    throttle: bool

    def warnings(self) -> list[str]:
        """One line for each limit that is missing and could be there, in dockerd's words."""
        v1 = self.version == 1
        checks = (
            (self.memory, "memory limit"),
            (self.swap, "swap limit"),
            (self.kernel_memory_tcp or not v1, "kernel memory TCP limit"),
            (self.oom_kill_disable or not v1, "oom kill disable"),
            (self.cfs_quota, "cpu cfs quota"),
            (self.cfs_quota, "cpu cfs period"),
            (self.shares, "cpu shares"),
            (self.cpuset, "cpuset"),
            (self.throttle, "blkio throttle.read_bps_device" if v1 else "io.max (rbps)"),
            (self.throttle, "blkio throttle.write_bps_device" if v1 else "io.max (wbps)"),
            (self.throttle, "blkio throttle.read_iops_device" if v1 else "io.max (riops)"),
            (self.throttle, "blkio throttle.write_iops_device" if v1 else "io.max (wiops)"),
        )
        return [f"WARNING: No {what} support" for there, what in checks if not there]


def read_limits(cgroups: Cgroups) -> Limits:
    """Look at what is mounted."""
    return _read_v1(cgroups) if cgroups.version == 1 else _read_v2(cgroups)


def _read_v1(cgroups: Cgroups) -> Limits:
    def has(controller: str, file: str) -> bool:
        places = (tree.mountpoint for tree in cgroups.hierarchies if controller in tree.controllers)
        return any(os.path.exists(f"{place}/{file}") for place in places)

    return Limits(
        version=1,
        memory=has("memory", "memory.limit_in_bytes"),
        swap=has("memory", "memory.memsw.limit_in_bytes"),
        kernel_memory_tcp=has("memory", "memory.kmem.tcp.limit_in_bytes"),
        oom_kill_disable=has("memory", "memory.oom_control"),
        cfs_quota=has("cpu", "cpu.cfs_quota_us"),
        shares=has("cpu", "cpu.shares"),
        cpuset=has("cpuset", "cpuset.cpus"),
        pids="pids" in cgroups.controllers,
        throttle=has("blkio", "blkio.throttle.read_bps_device"),
    )


def _read_v2(cgroups: Cgroups) -> Limits:
    controllers = cgroups.controllers
    return Limits(
        version=2,
        memory="memory" in controllers,
        # The file is missing in the top group; swap accounting is part of the memory controller since Linux 5.8.
        swap="memory" in controllers and os.path.exists("/proc/swaps"),
        kernel_memory_tcp=False,
        oom_kill_disable=False,
        cfs_quota="cpu" in controllers,
        shares="cpu" in controllers,
        cpuset="cpuset" in controllers,
        pids="pids" in controllers,
        throttle="io" in controllers,
    )
