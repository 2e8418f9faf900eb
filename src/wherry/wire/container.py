"""Containers as the Engine API writes them: create, inspect, list and the small answers.

The models are spread over three files by size; everything is importable from here. Defaults are Go's, so a missing
field and a null mean the same; which fields an answer leaves out when empty is what dockerd 28 does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.lib.clock import ZERO
from wherry.wire.base import Wire
from wherry.wire.fields import StrSlice, always, null
from wherry.wire.hostconfig import (
    BindOptions,
    DeviceMapping,
    DeviceRequest,
    HostConfig,
    ImageOptions,
    LogConfig,
    Mount,
    MountDriver,
    RestartPolicy,
    ThrottleDevice,
    TmpfsOptions,
    Ulimit,
    VolumeOptions,
    WeightDevice,
)
from wherry.wire.network import EndpointSettings, NetworkingConfig, PortBinding, PortMap
from wherry.wire.stats import StatsResponse

__all__ = [
    "Address",
    "BindOptions",
    "ContainerConfig",
    "ContainerInspect",
    "ContainerState",
    "ContainerSummary",
    "CreateRequest",
    "CreateResponse",
    "DeviceMapping",
    "DeviceRequest",
    "EndpointSettings",
    "GraphDriver",
    "Health",
    "HealthConfig",
    "HealthcheckResult",
    "HostConfig",
    "ImageOptions",
    "LogConfig",
    "Mount",
    "MountDriver",
    "MountPoint",
    "NetworkSettings",
    "NetworkingConfig",
    "Port",
    "PortBinding",
    "PortMap",
    "PruneReport",
    "RestartPolicy",
    "StatsResponse",
    "SummaryHostConfig",
    "SummaryNetworkSettings",
    "ThrottleDevice",
    "TmpfsOptions",
    "TopResponse",
    "Ulimit",
    "UpdateResponse",
    "VolumeOptions",
    "WaitError",
    "WaitResponse",
    "WeightDevice",
]


class HealthConfig(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A health check. Durations in ns, 0 inherits; ``test`` begins with NONE, CMD or CMD-SHELL."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """What a container is, independent of the host. ``stop_timeout`` in seconds."""

    hostname: str = always(str)
    domainname: str = always(str)
    user: str = always(str)
    attach_stdin: bool = always(bool)
    attach_stdout: bool = always(bool)
    attach_stderr: bool = always(bool)
    exposed_ports: dict[str, dict[str, Any]] | None = None
    tty: bool = always(bool)
    open_stdin: bool = always(bool)
    stdin_once: bool = always(bool)
    env: list[str] | None = always(null)
    cmd: StrSlice | None = always(null)
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = always(str)
    volumes: dict[str, dict[str, Any]] | None = always(null)
    working_dir: str = always(str)
    entrypoint: StrSlice | None = always(null)
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = always(null)
    labels: dict[str, str] | None = always(null)
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: StrSlice | None = None


class CreateRequest(ContainerConfig, frozen=True, kw_only=True, omit_defaults=True):
    """``POST /containers/create``: a ContainerConfig with two more members."""

    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None

    @property
    def config(self) -> ContainerConfig:
        """The ContainerConfig part alone."""
        return ContainerConfig(**{name: getattr(self, name) for name in ContainerConfig.__struct_fields__})


class CreateResponse(Wire, frozen=True, kw_only=True):
    """The new container's id; ``warnings`` is a list even when empty."""

    id: str
    warnings: list[str] = msgspec.field(default_factory=list)


class Port(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the PORTS column."""

    ip: str = msgspec.field(default="", name="IP")
    private_port: int = always(int)
    public_port: int = 0
    type: str = always(str)


class MountPoint(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A mount that a container has."""

    type: str = ""
    name: str = ""
    source: str = always(str)
    destination: str = always(str)
    driver: str = ""
    mode: str = always(str)
    rw: bool = always(bool, "RW")
    propagation: str = always(str)


class SummaryHostConfig(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The part of HostConfig that a list shows."""

    network_mode: str = ""
    annotations: dict[str, str] | None = None


class SummaryNetworkSettings(Wire, frozen=True, kw_only=True):
    """The part of NetworkSettings that a list shows."""

    networks: dict[str, EndpointSettings] = msgspec.field(default_factory=dict)


class ContainerSummary(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of ``GET /containers/json``. ``created`` in seconds; sizes only when asked for, bytes."""

    id: str
    names: list[str]
    image: str
    image_id: str = msgspec.field(name="ImageID")
    image_manifest_descriptor: dict[str, Any] | None = None
    command: str
    created: int
    ports: list[Port]
    size_rw: int = 0
    size_root_fs: int = 0
    labels: dict[str, str]
    state: str
    status: str
    host_config: SummaryHostConfig = always(SummaryHostConfig)
    network_settings: SummaryNetworkSettings | None = always(SummaryNetworkSettings)
    mounts: list[MountPoint]


class HealthcheckResult(Wire, frozen=True, kw_only=True):
    """One run of the health check; RFC 3339 times."""

    start: str
    end: str
    exit_code: int
    output: str


class Health(Wire, frozen=True, kw_only=True):
    """starting, healthy or unhealthy, and the last five runs."""

    status: str
    failing_streak: int = 0
    log: list[HealthcheckResult] | None = None


class ContainerState(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """created, running, paused, restarting, removing, exited or dead. Pid in the daemon's pid namespace."""

    status: str = always(str)
    running: bool = always(bool)
    paused: bool = always(bool)
    restarting: bool = always(bool)
    oom_killed: bool = always(bool, "OOMKilled")
    dead: bool = always(bool)
    pid: int = always(int)
    exit_code: int = always(int)
    error: str = always(str)
    started_at: str = always(lambda: ZERO)
    finished_at: str = always(lambda: ZERO)
    health: Health | None = None


class Address(Wire, frozen=True, kw_only=True):
    """An address with its prefix length."""

    addr: str = ""
    prefix_len: int = 0


class NetworkSettings(Wire, frozen=True, kw_only=True):
    """Where a container is on its networks; the flat addresses are those on the default bridge."""

    bridge: str = ""
    sandbox_id: str = msgspec.field(default="", name="SandboxID")
    sandbox_key: str = ""
    ports: PortMap = msgspec.field(default_factory=dict)
    hairpin_mode: bool = False
    link_local_ipv6_address: str = msgspec.field(default="", name="LinkLocalIPv6Address")
    link_local_ipv6_prefix_len: int = msgspec.field(default=0, name="LinkLocalIPv6PrefixLen")
    secondary_ip_addresses: list[Address] | None = msgspec.field(default=None, name="SecondaryIPAddresses")
    secondary_ipv6_addresses: list[Address] | None = msgspec.field(default=None, name="SecondaryIPv6Addresses")
    endpoint_id: str = msgspec.field(default="", name="EndpointID")
    gateway: str = ""
    global_ipv6_address: str = msgspec.field(default="", name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = msgspec.field(default=0, name="GlobalIPv6PrefixLen")
    ip_address: str = msgspec.field(default="", name="IPAddress")
    ip_prefix_len: int = msgspec.field(default=0, name="IPPrefixLen")
    ipv6_gateway: str = msgspec.field(default="", name="IPv6Gateway")
    mac_address: str = ""
    networks: dict[str, EndpointSettings] = msgspec.field(default_factory=dict)


class GraphDriver(Wire, frozen=True, kw_only=True):
    """The snapshotter's name and paths (LowerDir, MergedDir, UpperDir, WorkDir for overlay)."""

    data: dict[str, str] | None = None
    name: str = ""


class ContainerInspect(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /containers/{id}/json``. ``name`` begins with a slash; sizes only when asked for, bytes."""

    id: str
    created: str
    path: str
    args: list[str]
    state: ContainerState
    image: str
    resolv_conf_path: str = always(str)
    hostname_path: str = always(str)
    hosts_path: str = always(str)
    log_path: str = always(str)
    name: str
    restart_count: int = always(int)
    driver: str = always(str)
    platform: str = always(lambda: "linux")
    mount_label: str = always(str)
    process_label: str = always(str)
    app_armor_profile: str = always(str)
    exec_ids: list[str] | None = always(null, "ExecIDs")
    host_config: HostConfig
    graph_driver: GraphDriver = always(GraphDriver)
    size_rw: int | None = None
    size_root_fs: int | None = None
    mounts: list[MountPoint]
    config: ContainerConfig
    network_settings: NetworkSettings
    image_manifest_descriptor: dict[str, Any] | None = None


class TopResponse(Wire, frozen=True, kw_only=True):
    """The output of ps, split: one title per column, one row per process."""

    titles: list[str]
    processes: list[list[str]]


class WaitError(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Why a container could not be waited for."""

    message: str = ""


class WaitResponse(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A container's exit status."""

    status_code: int = always(int)
    error: WaitError | None = None


class PruneReport(Wire, frozen=True, kw_only=True):
    """Ids removed (null for none, as dockerd) and bytes freed."""

    containers_deleted: list[str] | None = None
    space_reclaimed: int = 0


class UpdateResponse(Wire, frozen=True, kw_only=True):
    """What to tell the user about an update."""

    warnings: list[str] | None = None
