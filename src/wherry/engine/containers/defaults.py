"""What the daemon itself, not the runtime, fills into a create request that does not say it."""

from __future__ import annotations

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.logs.options import effective
from wherry.runtime.modes import is_container, is_host
from wherry.wire.container import ContainerConfig, HostConfig, LogConfig


def complete(host: HostConfig, log_config: LogConfig) -> HostConfig:
    """``host`` with the network and the log that hold. Raises InvalidArgument for an unknown log driver or option."""
    mode = "bridge" if host.network_mode in ("", "default") else host.network_mode
    return msgspec.structs.replace(
        host,
        network_mode=mode,
        log_config=effective(host.log_config, log_config),
        port_bindings=host.port_bindings or {},
    )


def hostname(config: ContainerConfig, host: HostConfig, container_id: str, machine: str) -> str:
    """The name that the container gets. Raises InvalidArgument when it has no uts namespace to name."""
    if config.hostname and is_container(host.network_mode):
        raise InvalidArgument("conflicting options: hostname and the network mode")
    if config.hostname and is_host(host.uts_mode):
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if config.hostname:
        return config.hostname
    return machine if is_host(host.network_mode) or is_host(host.uts_mode) else container_id[:12]
