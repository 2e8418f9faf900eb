"""The daemon as the Engine API describes it: GET /info, /version and /system/df, as of API 1.50.

What older versions had besides is added in ``api/routes/system.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wherry.wire.base import Wire
from wherry.wire.fields import always, null
from wherry.wire.volume import Volume


class PluginsInfo(Wire, frozen=True, kw_only=True):
    """Names of the drivers of each kind."""

    volume: Sequence[str]
    network: Sequence[str]
    authorization: Sequence[str] | None = None
    log: Sequence[str]


class IndexInfo(Wire, frozen=True, kw_only=True):
    """A registry that images without a host name come from."""

    name: str
    mirrors: list[str] = msgspec.field(default_factory=list)
    secure: bool = True
    official: bool = False


class RegistryConfig(Wire, frozen=True, kw_only=True):
    """Which registries may be spoken to without TLS, and which have mirrors."""

    insecure_registry_cidrs: list[str] = msgspec.field(name="InsecureRegistryCIDRs")
    index_configs: dict[str, IndexInfo]
    mirrors: list[str] = msgspec.field(default_factory=list)


class SwarmInfo(Wire, frozen=True, kw_only=True):
    """The node's place in a swarm; as it stands here, none."""

    node_id: str = msgspec.field(default="", name="NodeID")
    node_addr: str = ""
    local_node_state: str = "inactive"
    control_available: bool = False
    error: str = ""
    remote_managers: list[dict[str, str]] | None = None


class RuntimeInfo(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """An OCI runtime."""

    path: str = msgspec.field(default="", name="path")
    runtime_args: list[str] | None = msgspec.field(default=None, name="runtimeArgs")


class Commit(Wire, frozen=True, kw_only=True):
    """The version of a program that the daemon uses."""

    id: str = msgspec.field(default="N/A", name="ID")


class FirewallInfo(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """What keeps the firewall's rules."""

    driver: str = always(str)
    info: list[tuple[str, str]] | None = None


class AddressPool(Wire, frozen=True, kw_only=True):
    """Where networks get their addresses from."""

    base: str
    size: int


class DeviceInfo(Wire, frozen=True, kw_only=True):
    """A device that containers can be given, and the driver that gives it."""

    source: str
    id: str = msgspec.field(name="ID")


class SystemInfo(Wire, frozen=True, kw_only=True):
    """GET /info."""

    id: str = msgspec.field(name="ID")
    containers: int
    containers_running: int
    containers_paused: int
    containers_stopped: int
    images: int
    driver: str
    driver_status: Sequence[tuple[str, str]]
    plugins: PluginsInfo
    memory_limit: bool
    swap_limit: bool
    kernel_memory_tcp: bool = msgspec.field(name="KernelMemoryTCP")
    cpu_cfs_period: bool
    cpu_cfs_quota: bool
    cpu_shares: bool = msgspec.field(name="CPUShares")
    cpu_set: bool = msgspec.field(name="CPUSet")
    pids_limit: bool
    ipv4_forwarding: bool = msgspec.field(name="IPv4Forwarding")
    debug: bool
    n_fd: int = msgspec.field(name="NFd")
    oom_kill_disable: bool
    n_goroutines: int = msgspec.field(name="NGoroutines")
    system_time: str
    logging_driver: str
    cgroup_driver: str
    cgroup_version: str
    n_events_listener: int = msgspec.field(name="NEventsListener")
    kernel_version: str
    operating_system: str
    os_version: str = msgspec.field(name="OSVersion")
    os_type: str = msgspec.field(default="linux", name="OSType")
    architecture: str
    index_server_address: str = "https://index.docker.io/v1/"
    registry_config: RegistryConfig
    ncpu: int = msgspec.field(name="NCPU")
    mem_total: int
    generic_resources: list[dict[str, Any]] | None = None
    docker_root_dir: str
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    name: str
    labels: Sequence[str]
    experimental_build: bool = False
    server_version: str
    runtimes: dict[str, RuntimeInfo]
    default_runtime: str
    swarm: SwarmInfo = SwarmInfo()
    live_restore_enabled: bool
    isolation: str = ""
    init_binary: str
    containerd_commit: Commit = Commit()
    runc_commit: Commit = Commit()
    init_commit: Commit = Commit()
    security_options: list[str]
    default_address_pools: list[AddressPool] | None = None
    firewall_backend: FirewallInfo
    cdi_spec_dirs: list[str] = msgspec.field(default_factory=list, name="CDISpecDirs")
    discovered_devices: list[DeviceInfo] | msgspec.UnsetType = msgspec.UNSET
    warnings: list[str] | None


class Platform(Wire, frozen=True, kw_only=True):
    """What the daemon calls itself."""

    name: str


class ComponentVersion(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """One part of the daemon."""

    name: str
    version: str
    details: dict[str, str] | None = None


class Version(Wire, frozen=True, kw_only=True):
    """GET /version."""

    platform: Platform
    components: list[ComponentVersion]
    version: str
    api_version: str = msgspec.field(name="ApiVersion")
    min_api_version: str = msgspec.field(name="MinAPIVersion")
    git_commit: str
    go_version: str
    os: str
    arch: str
    kernel_version: str
    build_time: str


class DiskUsage(Wire, frozen=True, kw_only=True):
    """GET /system/df. What was not asked for is null."""

    layers_size: int = 0
    images: Sequence[Any] | None = always(null)
    """Image summaries."""
    containers: Sequence[Any] | None = always(null)
    """Container summaries."""
    volumes: Sequence[Volume] | None = always(null)
    build_cache: Sequence[Any] | None = always(null)
