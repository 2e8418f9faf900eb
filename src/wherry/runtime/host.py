"""What the machine offers to containers, found out once and then handed to pure code."""

from __future__ import annotations

import os
import re
import resource
from dataclasses import dataclass, field
from pathlib import Path

from wherry.linux import capabilities
from wherry.linux.cgroups import Cgroups
from wherry.linux.namespaces import IN_USER_NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What limits, capabilities and files this machine has. The flags are those of Docker's ``sysinfo``."""

    rootless: bool = False
    """Whether this daemon is root of a user namespace only."""
    cgroup_version: int = 1
    cpus: int = 1
    """How many CPUs this process may use."""
    cpuset_cpus: str = ""
    """The CPUs that a cpuset may name, as a list of ranges; likewise the memory nodes."""
    cpuset_mems: str = ""
    capabilities: tuple[str, ...] = capabilities.NAMES
    hard_limits: dict[str, int] = field(default_factory=dict)
    """Hard resource limits by lower-case name without ``RLIMIT_``; -1 is unlimited."""
    thermal_paths: tuple[str, ...] = ()
    """Per-CPU directories with thermal interrupt counts, a side channel that Docker masks."""
    recursive_read_only: bool = True
    message_queues: bool = True
    """Whether the host itself has /dev/mqueue mounted."""
    apparmor: bool = False
    selinux: bool = False
    ipv4_forwarding: bool = True
    memory_limit: bool = True
    swap_limit: bool = True
    memory_reservation: bool = True
    memory_swappiness: bool = True
    oom_kill_disable: bool = True
    kernel_memory_tcp: bool = True
    cpu_shares: bool = True
    cpu_cfs: bool = True
    cpu_realtime: bool = False
    cpuset: bool = True
    pids_limit: bool = True
    blkio_weight: bool = True
    blkio_weight_device: bool = True
    blkio_throttle: bool = True


def read_host_facts(cgroups: Cgroups) -> HostFacts:
    """Ask the kernel. Reads a few dozen small files; raises OSError only where /proc is missing."""
    features = _features_v1(cgroups) if cgroups.version == 1 else _features_v2(cgroups)
    cpus, mems = _cpuset(cgroups)
    return HostFacts(
        rootless=IN_USER_NAMESPACE,
        cgroup_version=cgroups.version,
        cpus=len(os.sched_getaffinity(0)),
        cpuset_cpus=cpus,
        cpuset_mems=mems,
        capabilities=capabilities.available(),
        hard_limits=_hard_limits(),
        thermal_paths=_thermal_paths(),
        recursive_read_only=_kernel() >= (5, 12),
        message_queues=os.path.ismount("/dev/mqueue"),
        apparmor=_text("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        selinux=os.path.exists("/sys/fs/selinux/enforce"),
        ipv4_forwarding=_text("/proc/sys/net/ipv4/ip_forward") != "0",
        **features,
    )


def _features_v1(cgroups: Cgroups) -> dict[str, bool]:
    def has(controller: str, *names: str) -> bool:
        if controller not in cgroups.controllers:
            return False
        root = next(tree.mountpoint for tree in cgroups.hierarchies if controller in tree.controllers)
        return all(os.path.exists(f"{root}/{name}") for name in names)

    return {
        "memory_limit": has("memory", "memory.limit_in_bytes"),
        "swap_limit": has("memory", "memory.memsw.limit_in_bytes"),
        "memory_reservation": has("memory", "memory.soft_limit_in_bytes"),
        "memory_swappiness": has("memory", "memory.swappiness"),
        "oom_kill_disable": has("memory", "memory.oom_control"),
        "kernel_memory_tcp": has("memory", "memory.kmem.tcp.limit_in_bytes"),
        "cpu_shares": has("cpu", "cpu.shares"),
        "cpu_cfs": has("cpu", "cpu.cfs_period_us", "cpu.cfs_quota_us"),
        "cpu_realtime": has("cpu", "cpu.rt_period_us", "cpu.rt_runtime_us"),
        "cpuset": has("cpuset"),
        "pids_limit": has("pids"),
        "blkio_weight": has("blkio", "blkio.weight"),
        "blkio_weight_device": has("blkio", "blkio.weight_device"),
        "blkio_throttle": has("blkio", "blkio.throttle.read_bps_device"),
    }


def _features_v2(cgroups: Cgroups) -> dict[str, bool]:
    has = cgroups.controllers.__contains__
    return {
        "memory_limit": has("memory"),
        "swap_limit": has("memory") and os.path.exists("/proc/swaps"),
        "memory_reservation": has("memory"),
        "memory_swappiness": False,
        "oom_kill_disable": False,
        "kernel_memory_tcp": False,
        "cpu_shares": has("cpu"),
        "cpu_cfs": has("cpu"),
        "cpuset": has("cpuset"),
        "pids_limit": has("pids"),
        "blkio_weight": has("io"),
        "blkio_weight_device": has("io"),
        "blkio_throttle": has("io"),
    }


def _cpuset(cgroups: Cgroups) -> tuple[str, str]:
    for tree in cgroups.hierarchies:
        if "cpuset" in tree.controllers:
            suffix = ".effective" if tree.unified else ""
            root = f"{tree.mountpoint}/cpuset"
            return _text(f"{root}.cpus{suffix}"), _text(f"{root}.mems{suffix}")
    return "", ""


def _hard_limits() -> dict[str, int]:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
    return {name.removeprefix("RLIMIT_").lower(): resource.getrlimit(getattr(resource, name))[1] for name in names}


def _thermal_paths() -> tuple[str, ...]:
    return tuple(str(path) for path in sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle")))


def _kernel() -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
