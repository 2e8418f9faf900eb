"""A create request as a client of an older API version meant it, and the checks that depend on the version."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from wherry.api.server.routing import ApiVersion
from wherry.lib.errors import InvalidArgument
from wherry.wire.container import (
    BindOptions,
    ContainerConfig,
    CreateRequest,
    EndpointSettings,
    HostConfig,
    Mount,
    NetworkingConfig,
)

DEFAULT_NETWORK = "bridge"
_NAMESPACE_MODES = ("none", "host")
_OPTIONS = (
    ("volume_options", "VolumeOptions", "volume"),
    ("bind_options", "BindOptions", "bind"),
    ("tmpfs_options", "TmpfsOptions", "tmpfs"),
)


def adapt(request: CreateRequest, version: ApiVersion) -> tuple[CreateRequest, list[str]]:
    """The request in the newest version's terms, and warnings. Raises InvalidArgument."""
    if request.config == ContainerConfig():
        raise InvalidArgument("config cannot be empty in order to create a container")
    host = _host(request.host_config or HostConfig(), version)
    endpoints = dict((request.networking_config and request.networking_config.endpoints_config) or {})
    if host.network_mode in ("", "default"):
        host = replace(host, network_mode=DEFAULT_NETWORK)
        if "default" in endpoints:
            endpoints[DEFAULT_NETWORK] = endpoints.pop("default")
    if version < ApiVersion(1, 44) and len(endpoints) > 1:
        names = ", ".join(endpoints)
        raise InvalidArgument(f"Container cannot be created with multiple network endpoints: {names}")
    mac, warnings = _mac_address(request.mac_address, host.network_mode, endpoints, version)
    health = request.healthcheck
    if health is not None and version < ApiVersion(1, 44):
        health = replace(health, start_interval=0)
    adapted = replace(
        request,
        healthcheck=health,
        mac_address=mac,
        host_config=host,
        networking_config=NetworkingConfig(endpoints_config=endpoints),
    )
    return adapted, warnings


def _host(host: HostConfig, version: ApiVersion) -> HostConfig:
    changes: dict[str, Any] = {}
    if version < ApiVersion(1, 25):
        changes["auto_remove"] = False  # the client removes it then
    if version < ApiVersion(1, 40):
        changes["kernel_memory_tcp"] = 0
        changes["ipc_mode"] = host.ipc_mode or "shareable"
    if version < ApiVersion(1, 42):
        changes["console_size"] = (0, 0)
    else:
        changes["kernel_memory"] = 0
    if version < ApiVersion(1, 43):
        changes["annotations"] = None
    if host.pids_limit is not None and host.pids_limit <= 0:
        changes["pids_limit"] = None
    if host.mounts:
        changes["mounts"] = [_mount(mount, version) for mount in host.mounts]
    return replace(host, **changes)


def _mount(mount: Mount, version: ApiVersion) -> Mount:
    changes: dict[str, Any] = {}
    for attribute, name, kind in _OPTIONS:
        if getattr(mount, attribute) is None or mount.type == kind:
            continue
        if version >= ApiVersion(1, 42):
            raise InvalidArgument(f'{name} must not be specified on mount type "{mount.type}"')
        if kind != "bind":
            changes[attribute] = None
    if mount.bind_options is not None:
        changes["bind_options"] = _bind_options(mount.bind_options, version)
    if version < ApiVersion(1, 45) and mount.volume_options is not None and mount.volume_options.subpath:
        raise InvalidArgument("VolumeOptions.Subpath needs API v1.45 or newer")
    return replace(mount, **changes)


def _bind_options(options: BindOptions, version: ApiVersion) -> BindOptions:
    changes: dict[str, Any] = {}
    if version < ApiVersion(1, 40):
        changes["non_recursive"] = False
    if version < ApiVersion(1, 42):
        changes["create_mountpoint"] = False
    if version < ApiVersion(1, 44) and options.read_only_force_recursive:
        raise InvalidArgument("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
    return replace(options, **changes)


def _mac_address(
    mac: str, mode: str, endpoints: dict[str, EndpointSettings | None], version: ApiVersion
) -> tuple[str, list[str]]:
    """Move the container-wide address to the main network's endpoint, where it belongs since 1.44."""
    old = version < ApiVersion(1, 44)
    if not mac:
        if old:
            for name, settings in endpoints.items():
                if settings is not None and settings.mac_address:
                    endpoints[name] = replace(settings, mac_address="")
        return "", []
    if mode in _NAMESPACE_MODES or mode.startswith("container:"):
        if old:
            raise InvalidArgument("conflicting options: mac-address and the network mode")
    else:
        name = next(iter(endpoints), mode) if old else mode
        if endpoints and name not in endpoints:
            raise InvalidArgument(
                "unable to migrate container-wide MAC address to a specific network: "
                "HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks"
            )
        settings = endpoints.get(name) or EndpointSettings()
        if not old and settings.mac_address not in ("", mac):
            raise InvalidArgument(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
                "or be left empty"
            )
        endpoints[name] = replace(settings, mac_address=mac)
    if old:
        return mac, []
    return "", [
        "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
    ]
