"""A new container's HostConfig: checked, completed with Docker's defaults, warned about. Pure.

The order is dockerd's: the config by itself, modes and conflicts, limits against the machine, then the defaults, so
that what ``docker inspect`` shows is what will hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.linux import capabilities
from wherry.runtime.host import HostFacts
from wherry.runtime.id_maps import NO_MAPS, IdMaps
from wherry.runtime.modes import is_container, is_host
from wherry.runtime.spec_conflicts import (
    check_config,
    check_conflicts,
    check_modes,
    check_user_namespace,
    check_values,
    refuse_unbuilt,
)
from wherry.runtime.spec_limits import settle_limits
from wherry.runtime.spec_linux import READONLY_PATHS, JoinPaths, build_namespaces, build_sysctls, id_maps, masked_paths
from wherry.runtime.spec_mounts import merge_tmpfs_options
from wherry.runtime.spec_resources import parse_device_rule
from wherry.runtime.spec_security import BUILTIN_SECCOMP, Seccomp, parse_security_options
from wherry.wire.container import ContainerConfig, HostConfig, Ulimit

DEFAULT_SHM_SIZE = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonDefaults:
    """What the daemon's own configuration says about every container."""

    shm_size: int = DEFAULT_SHM_SIZE
    ipc_mode: str = "private"
    cgroupns_mode: str = ""
    """Empty is by the machine: ``host`` on cgroup v1, ``private`` on v2."""
    runtime: str = "runc"
    runtimes: Collection[str] = ("runc", "io.containerd.runc.v2")
    """Names that ``--runtime`` may say; Docker's own are all ours."""
    no_new_privileges: bool = False
    seccomp: Seccomp | None = BUILTIN_SECCOMP
    """None filters no system calls."""
    init: bool = False
    ulimits: Sequence[Ulimit] = ()
    maps: IdMaps = NO_MAPS
    """The ids of every container's user namespace; empty for none."""


def settle(
    config: ContainerConfig, host_config: HostConfig, host: HostFacts, defaults: DaemonDefaults = DaemonDefaults()
) -> tuple[HostConfig, list[str]]:
    """The HostConfig that will hold, and warnings for the user.

    Raises InvalidArgument in Docker's words for what makes no sense, and names what is not built yet.
    """
    check_config(config)
    check_modes(host_config)
    check_conflicts(host_config, config)
    check_values(host_config)
    refuse_unbuilt(host_config)
    _check_realtime(host_config, host)
    if id_maps(host_config, defaults.maps):
        check_user_namespace(host_config)
    settled, warnings = settle_limits(host_config, host)
    if settled.cpu_count:
        warnings.append("linux does not support CPU count. Count discarded.")
    settled = _with_defaults(settled, host, defaults)
    _check_security(settled, host, defaults)
    _check_parts(settled, id_maps(settled, defaults.maps))
    return settled, warnings + _network_warnings(settled, host)


def validate(
    host_config: HostConfig, config: ContainerConfig, host: HostFacts, defaults: DaemonDefaults = DaemonDefaults()
) -> list[str]:
    """Only the warnings of ``settle``. Raises InvalidArgument."""
    return settle(config, host_config, host, defaults)[1]


def _with_defaults(config: HostConfig, host: HostFacts, defaults: DaemonDefaults) -> HostConfig:
    runtime = config.runtime or defaults.runtime
    if runtime not in defaults.runtimes:
        raise InvalidArgument(f"unknown or invalid runtime name: {runtime}")
    changes: dict[str, Any] = {
        "cpu_count": 0,
        "shm_size": config.shm_size or defaults.shm_size,
        "ipc_mode": config.ipc_mode or defaults.ipc_mode,
        "cgroupns_mode": config.cgroupns_mode or _cgroupns(config, host, defaults),
        "runtime": runtime,
    }
    if host.oom_kill_disable and config.oom_kill_disable is None:
        changes["oom_kill_disable"] = False
    if not config.privileged:
        changes["masked_paths"] = _paths(config.masked_paths, masked_paths(host))
        changes["readonly_paths"] = _paths(config.readonly_paths, READONLY_PATHS)
    return msgspec.structs.replace(config, **changes)


def _cgroupns(config: HostConfig, host: HostFacts, defaults: DaemonDefaults) -> str:
    if host.cgroup_version == 1 and config.privileged:
        return "host"
    return defaults.cgroupns_mode or ("host" if host.cgroup_version == 1 else "private")


def _paths(asked: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    return list(default if asked is None else asked)


def _check_security(config: HostConfig, host: HostFacts, defaults: DaemonDefaults) -> None:
    for field, names in (("CapAdd", config.cap_add), ("CapDrop", config.cap_drop)):
        try:
            capabilities.normalize(names or (), host.capabilities)
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid {field}: {error}") from None
    parse_security_options(config.security_opt, no_new_privileges=defaults.no_new_privileges)


def _check_realtime(config: HostConfig, host: HostFacts) -> None:
    period, runtime = config.cpu_realtime_period, config.cpu_realtime_runtime
    if (period or runtime) and not host.cpu_realtime:
        raise InvalidArgument("kernel does not support CPU real-time scheduler")
    if 0 < period < runtime:
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")


def _check_parts(config: HostConfig, maps: IdMaps) -> None:
    """What building the spec would refuse at start is better refused at create."""
    build_sysctls(config, build_namespaces(config, JoinPaths(), maps), "")
    for rule in config.device_cgroup_rules or ():
        parse_device_rule(rule)
    for options in (config.tmpfs or {}).values():
        merge_tmpfs_options([option for option in options.split(",") if option])
    for path in [*(config.masked_paths or ()), *(config.readonly_paths or ())]:
        if not path.startswith("/"):
            raise InvalidArgument(f"invalid masked or read-only path: '{path}' must be absolute")


def _network_warnings(config: HostConfig, host: HostFacts) -> list[str]:
    warnings = []
    mode = config.network_mode
    if not host.ipv4_forwarding and not is_host(mode) and not is_container(mode) and mode != "none":
        warnings.append("IPv4 forwarding is disabled. Networking will not work.")
    if is_host(mode) and config.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    return warnings
