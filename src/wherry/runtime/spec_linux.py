"""Namespaces, sysctls, hidden paths and the cgroup path of the OCI spec. Pure."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wherry.lib.errors import InvalidArgument
from wherry.runtime.host import HostFacts
from wherry.runtime.id_maps import NO_MAPS, IdMaps
from wherry.runtime.modes import is_host
from wherry.wire.container import HostConfig

_MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# Any port, and ping, without capabilities: the container's network is its own.
_PING = "net.ipv4.ping_group_range"
_NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", _PING: "0 2147483647"}

_IPC_SYSCTLS = frozenset(
    {
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPaths:
    """Namespaces of others to enter, as paths such as ``/proc/<pid>/ns/ipc``; empty is a new one."""

    network: str = ""
    ipc: str = ""
    pid: str = ""
    user: str = ""
    """Only for a container in a user namespace: who enters another's namespaces must have its rights there."""


def masked_paths(host: HostFacts) -> list[str]:
    """What a container must not see: Docker's list, with the thermal counters of this machine's CPUs."""
    return [*_MASKED, *host.thermal_paths]


def id_maps(config: HostConfig, daemon: IdMaps) -> IdMaps:
    """The ids of the container's user namespace: the daemon's, unless the container is to have the host's."""
    return NO_MAPS if is_host(config.userns_mode) else daemon


def build_namespaces(config: HostConfig, join: JoinPaths, maps: IdMaps = NO_MAPS) -> list[dict[str, str]]:
    """One entry per namespace that is not the host's; one with a path is entered, one without is made.

    A network namespace with a path is entered even if the mode is ``host``.
    """
    wanted = (
        ("user", bool(maps), join.user),
        ("mount", True, ""),
        ("network", bool(join.network) or not is_host(config.network_mode), join.network),
        ("uts", not is_host(config.uts_mode), ""),
        ("pid", not is_host(config.pid_mode), join.pid),
        ("ipc", not is_host(config.ipc_mode), join.ipc),
        ("cgroup", config.cgroupns_mode == "private", ""),
    )
    return [{"type": kind, **({"path": path} if path else {})} for kind, own, path in wanted if own]


def build_sysctls(
    config: HostConfig, namespaces: Sequence[Mapping[str, str]], domainname: str, *, rootless: bool = False
) -> dict[str, str]:
    """Docker's defaults, and what was asked for over them. Raises InvalidArgument for one that is the host's."""
    new = {namespace["type"] for namespace in namespaces}
    sysctls: dict[str, str] = {}
    if "network" in new and not config.network_mode.startswith("container:"):
        sysctls |= _NETWORK_SYSCTLS
        if "user" in new or rootless:
            del sysctls[_PING]  # its range reaches beyond the namespace's groups, which the kernel refuses
    if domainname and "uts" in new:
        # The NIS domain name has no field that Docker's runtimes know.
        sysctls["kernel.domainname"] = domainname
    asked = config.sysctls or {}
    for name in asked:
        check_sysctl(name, new)
    return {**sysctls, **asked}


def check_sysctl(name: str, namespaces: set[str]) -> None:
    """Refuse a sysctl that would change the host. Raises InvalidArgument in the words of the reference runtime."""
    dotted = name.replace("/", ".")
    if ".." in dotted or not dotted or any(not char.isprintable() or char.isspace() for char in dotted):
        raise InvalidArgument(f'invalid sysctl "{name}"')
    if dotted in _IPC_SYSCTLS or dotted.startswith("fs.mqueue."):
        if "ipc" not in namespaces:
            raise InvalidArgument(f'sysctl "{name}" is not allowed in the hosts ipc namespace')
        return
    if dotted.startswith("net."):
        if "network" not in namespaces:
            raise InvalidArgument(f'sysctl "{name}" not allowed in host network namespace')
        return
    if "uts" in namespaces and dotted == "kernel.domainname":
        return
    if "uts" in namespaces and dotted == "kernel.hostname":
        raise InvalidArgument(f'sysctl "{name}" is not allowed as it conflicts with the OCI "hostname" field')
    raise InvalidArgument(f'sysctl "{name}" is not in a separate kernel namespace')


def cgroup_path(container_id: str, parent: str, default_parent: str) -> str:
    """The absolute cgroup path of a container; ``..`` in a parent cannot lead out of the hierarchy.

    Empty where there are no cgroups: with neither parent.
    """
    if not (parent or default_parent):
        return ""
    return os.path.normpath(f"/{parent or default_parent}/{container_id}").replace("//", "/")
