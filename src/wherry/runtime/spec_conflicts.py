"""Options of a container that exclude each other, or are no options. Pure; Docker's checks in Docker's words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wherry.lib.errors import InvalidArgument
from wherry.runtime.modes import container_of, is_container, is_host
from wherry.runtime.spec_process import ULIMITS
from wherry.wire.container import ContainerConfig, HealthConfig, HostConfig, RestartPolicy

_IPC_MODES = frozenset({"", "none", "private", "shareable", "host"})
_MINIMUM_DURATION = 1_000_000
"""ns: the shortest interval of a health check."""
_PRIVILEGED = (
    "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace "
    "when running privileged mode"
)
_RESTART_POLICIES = frozenset({"", "no", "always", "on-failure", "unless-stopped"})


def check_config(config: ContainerConfig) -> None:
    """What dockerd checks of a ContainerConfig. Raises InvalidArgument."""
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    for entry in config.env or ():
        if not entry.partition("=")[0]:
            raise InvalidArgument(f"invalid environment variable: {entry}")
        if "\0" in entry:
            raise InvalidArgument("invalid environment variable: it contains a null byte")
    if config.healthcheck:
        _check_health(config.healthcheck)


def check_modes(host: HostConfig) -> None:
    """The namespace modes, each by itself. Raises InvalidArgument."""
    for name, mode, valid in (
        ("IPC", host.ipc_mode, host.ipc_mode in _IPC_MODES or bool(container_of(host.ipc_mode))),
        ("PID", host.pid_mode, host.pid_mode in ("", "host", "private") or bool(container_of(host.pid_mode))),
        ("UTS", host.uts_mode, host.uts_mode in ("", "host")),
        ("cgroup namespace", host.cgroupns_mode, host.cgroupns_mode in ("", "private", "host")),
        ("USER", host.userns_mode, host.userns_mode in ("", "private", "host")),
    ):
        if not valid:
            raise InvalidArgument(f"invalid {name} mode: {mode}")
    if is_container(host.network_mode) and not container_of(host.network_mode):
        raise InvalidArgument("invalid container format container:<name|id>")


def check_conflicts(host: HostConfig, config: ContainerConfig) -> None:
    """Combinations that cannot be. Raises InvalidArgument."""
    joined, on_host = is_container(host.network_mode), is_host(host.network_mode)
    undefined = "networking can't be used with links. This would result in undefined behavior"
    for conflict, message in (
        (is_host(host.uts_mode) and config.hostname, "hostname and the UTS mode"),
        (joined and config.hostname, "hostname and the network mode"),
        (joined and host.links, f"container type network {undefined.removeprefix('networking ')}"),
        (on_host and host.links, f"host type {undefined}"),
        (joined and host.dns, "dns and the network mode"),
        (joined and host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        ((joined or on_host) and config.mac_address, "mac-address and the network mode"),
        (
            joined and (host.port_bindings or host.publish_all_ports),
            "port publishing and the container type network mode",
        ),
        (joined and config.exposed_ports, "port exposing and the container type network mode"),
    ):
        if conflict:
            raise InvalidArgument(f"conflicting options: {message}")
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")


def check_user_namespace(host: HostConfig) -> None:
    """What cannot be in a user namespace, for a container that is to have one. Raises InvalidArgument."""
    for conflict, message in (
        (
            host.privileged,
            _PRIVILEGED,
        ),
        (is_host(host.network_mode), "cannot share the host's network namespace when user namespaces are enabled"),
        (is_host(host.pid_mode), "cannot share the host PID namespace when user namespaces are enabled"),
    ):
        if conflict:
            raise InvalidArgument(message)


def check_values(host: HostConfig) -> None:
    """Single values that are out of range. Raises InvalidArgument."""
    if host.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidArgument(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.isolation not in ("", "default"):
        raise InvalidArgument(f"invalid isolation: \"{host.isolation}\" - linux only supports 'default'")
    for path in host.tmpfs or ():
        if not path.startswith("/"):
            raise InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")
        if path.strip("/") == "":
            raise InvalidArgument("invalid specification: destination can't be '/'")
    if host.storage_opt:
        raise InvalidArgument("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    if "" in (host.annotations or {}):
        raise InvalidArgument("invalid Annotations: the empty string is not permitted as an annotation key")
    _check_ulimits(host)
    check_restart(host.restart_policy)
    _check_extra_hosts(host.extra_hosts or ())


def refuse_unbuilt(host: HostConfig) -> None:
    """Options that this engine does not have yet: said, never dropped. Raises InvalidArgument."""
    for given, name in ((host.links, "Links (--link)"), (host.cgroup, "Cgroup")):
        if given:
            raise InvalidArgument(f"HostConfig.{name} is not built yet")


def _check_ulimits(host: HostConfig) -> None:
    for limit in host.ulimits or ():
        if limit.name not in ULIMITS:
            raise InvalidArgument(f"invalid ulimit type: {limit.name}")
        if limit.hard >= 0 and (limit.soft < 0 or limit.soft > limit.hard):
            raise InvalidArgument(
                f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
            )


def check_restart(policy: RestartPolicy) -> None:
    """A restart policy by itself. Raises InvalidArgument."""
    if policy.name not in _RESTART_POLICIES:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{policy.name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if policy.name not in ("", "on-failure") and policy.maximum_retry_count:
        raise InvalidArgument("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if policy.maximum_retry_count < 0:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")


def _check_extra_hosts(entries: Iterable[str]) -> None:
    for entry in entries:
        name, _, address = entry.replace("=", ":", 1).partition(":")
        if not name or not address:
            raise InvalidArgument(f'bad format for add-host: "{entry}"')
        if address != "host-gateway" and not re.fullmatch(r"\[?[0-9A-Fa-f:.]+(%\w+)?\]?", address):
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"')


def _check_health(health: HealthConfig) -> None:
    for name, duration in (
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ):
        if duration and duration < _MINIMUM_DURATION:
            raise InvalidArgument(f"{name} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
