"""HostConfig: how a container is tied to its host (69 fields, with Go's Resources folded in)."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.wire.base import Wire
from wherry.wire.fields import StrSlice, always, null
from wherry.wire.network import PortMap


class LogConfig(Wire, frozen=True, kw_only=True):
    """The log driver and its options; an empty type is the daemon's default."""

    type: str = ""
    config: dict[str, str] | None = None


class RestartPolicy(Wire, frozen=True, kw_only=True):
    """When an ended container is started again: "", no, always, unless-stopped, on-failure."""

    name: str = ""
    maximum_retry_count: int = 0


class WeightDevice(Wire, frozen=True, kw_only=True):
    """A block device's relative I/O weight (10 to 1000)."""

    path: str = ""
    weight: int = 0


class ThrottleDevice(Wire, frozen=True, kw_only=True):
    """A block device's limit in bytes or operations per second."""

    path: str = ""
    rate: int = 0


class DeviceMapping(Wire, frozen=True, kw_only=True):
    """A host device shown in the container; permissions out of r, w, m."""

    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(Wire, frozen=True, kw_only=True):
    """Devices asked for by capability from a driver (``--gpus``)."""

    driver: str = ""
    count: int = 0
    device_ids: list[str] | None = msgspec.field(default=None, name="DeviceIDs")
    capabilities: list[list[str]] | None = None
    options: dict[str, str] | None = None


class Ulimit(Wire, frozen=True, kw_only=True):
    """A resource limit by its lower-case name without ``RLIMIT_``; -1 is no limit."""

    name: str = ""
    hard: int = 0
    soft: int = 0


class BindOptions(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Options of a mount of type bind."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class MountDriver(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The volume driver of a mount and its options."""

    name: str = ""
    options: dict[str, str] | None = None


class VolumeOptions(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Options of a mount of type volume."""

    no_copy: bool = False
    labels: dict[str, str] | None = None
    subpath: str = ""
    driver_config: MountDriver | None = None


class ImageOptions(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Options of a mount of type image."""

    subpath: str = ""


class TmpfsOptions(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Options of a mount of type tmpfs: size in bytes, permission bits, extra mount options as ``[name, value?]``."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class Mount(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A mount as ``--mount`` asks for it."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    cluster_options: dict[str, Any] | None = None


class HostConfig(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """How a container is tied to its host, in dockerd's order; the middle part is Go's Resources.

    Memory in bytes, periods and quotas in µs, NanoCpus in 10⁻⁹ CPU; 0 is "not set". ``console_size`` is (height,
    width).
    """

    binds: list[str] | None = always(null)
    container_id_file: str = always(str, "ContainerIDFile")
    log_config: LogConfig = always(LogConfig)
    network_mode: str = always(str)
    port_bindings: PortMap | None = always(null)
    restart_policy: RestartPolicy = always(RestartPolicy)
    auto_remove: bool = always(bool)
    volume_driver: str = always(str)
    volumes_from: list[str] | None = always(null)
    console_size: tuple[int, int] = always(lambda: (0, 0))
    annotations: dict[str, str] | None = None
    cap_add: StrSlice | None = always(null)
    cap_drop: StrSlice | None = always(null)
    cgroupns_mode: str = always(str)
    dns: list[str] | None = always(null)
    dns_options: list[str] | None = always(null)
    dns_search: list[str] | None = always(null)
    extra_hosts: list[str] | None = always(null)
    group_add: list[str] | None = always(null)
    ipc_mode: str = always(str)
    cgroup: str = always(str)
    links: list[str] | None = always(null)
    oom_score_adj: int = always(int)
    pid_mode: str = always(str)
    privileged: bool = always(bool)
    publish_all_ports: bool = always(bool)
    readonly_rootfs: bool = always(bool)
    security_opt: list[str] | None = always(null)
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str = always(str, "UTSMode")
    userns_mode: str = always(str)
    shm_size: int = always(int)
    sysctls: dict[str, str] | None = None
    runtime: str = ""
    isolation: str = always(str)
    cpu_shares: int = always(int)
    memory: int = always(int)
    nano_cpus: int = always(int)
    cgroup_parent: str = always(str)
    blkio_weight: int = always(int)
    blkio_weight_device: list[WeightDevice] | None = always(null)
    blkio_device_read_bps: list[ThrottleDevice] | None = always(null)
    blkio_device_write_bps: list[ThrottleDevice] | None = always(null)
    blkio_device_read_iops: list[ThrottleDevice] | None = always(null, "BlkioDeviceReadIOps")
    blkio_device_write_iops: list[ThrottleDevice] | None = always(null, "BlkioDeviceWriteIOps")
    cpu_period: int = always(int)
    cpu_quota: int = always(int)
    cpu_realtime_period: int = always(int)
    cpu_realtime_runtime: int = always(int)
    cpuset_cpus: str = always(str)
    cpuset_mems: str = always(str)
    devices: list[DeviceMapping] | None = always(null)
    device_cgroup_rules: list[str] | None = always(null)
    device_requests: list[DeviceRequest] | None = always(null)
    kernel_memory: int = 0
    kernel_memory_tcp: int = msgspec.field(default=0, name="KernelMemoryTCP")
    memory_reservation: int = always(int)
    memory_swap: int = always(int)
    memory_swappiness: int | None = always(null)
    oom_kill_disable: bool | None = always(null)
    pids_limit: int | None = always(null)
    ulimits: list[Ulimit] | None = always(null)
    cpu_count: int = always(int)
    cpu_percent: int = always(int)
    io_maximum_iops: int = always(int, "IOMaximumIOps")
    io_maximum_bandwidth: int = always(int, "IOMaximumBandwidth")
    mounts: list[Mount] | None = None
    masked_paths: list[str] | None = always(null)
    readonly_paths: list[str] | None = always(null)
    init: bool | None = None
