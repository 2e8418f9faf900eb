"""From what the user asked for to the OCI runtime spec, as Docker 28 builds it. Pure: nothing is looked up or created.

    settle (spec_settle)            HostConfig with Docker's defaults, checked, and warnings       at create
    resolve_devices (devices)       the host's device numbers                                      at start
    build_spec                      SpecInput → config.json                                        at start
    exec_process (spec_process)     the process of an exec

The files: spec_process (args, env, capabilities, rlimits), spec_mounts, spec_linux (namespaces, sysctls, hidden paths),
spec_resources (cgroup limits, device rules), spec_security (``--security-opt``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wherry.lib.errors import InvalidArgument
from wherry.runtime.devices import Devices
from wherry.runtime.host import HostFacts
from wherry.runtime.id_maps import NO_MAPS, IdMaps
from wherry.runtime.modes import is_host, is_private_pid
from wherry.runtime.selinux import Labels
from wherry.runtime.spec_linux import (
    READONLY_PATHS,
    JoinPaths,
    build_namespaces,
    build_sysctls,
    cgroup_path,
    masked_paths,
)
from wherry.runtime.spec_mounts import Bind, MountPlan, Tmpfs, build_mounts
from wherry.runtime.spec_process import build_process, exec_process
from wherry.runtime.spec_resources import build_resources
from wherry.runtime.spec_security import SecurityOptions, apparmor_profile, seccomp_profile
from wherry.runtime.version import VERSION
from wherry.wire.container import ContainerConfig, HostConfig, Ulimit

__all__ = [
    "Bind",
    "JoinPaths",
    "SpecInput",
    "Tmpfs",
    "build_spec",
    "cgroup_path",
    "exec_process",
    "seccomp_profile",
    "wants_init",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecInput:
    """Everything that decides about one container's spec."""

    id: str
    hostname: str
    """What ``hostname`` prints and HOSTNAME says."""
    domainname: str = ""
    config: ContainerConfig
    """Already merged with the image's."""
    host_config: HostConfig
    """As ``settle`` returns it."""
    cgroup_path: str
    host: HostFacts
    mounts: Sequence[Bind | Tmpfs] = ()
    """Volumes, binds and ``--mount`` tmpfs; those of ``--tmpfs`` are taken from the HostConfig."""
    etc_files: Sequence[Bind] = ()
    join: JoinPaths = field(default_factory=JoinPaths)
    shm_source: str = ""
    """The directory to bind at /dev/shm when it is shared: the host's, another's, or a shareable container's own."""
    devices: Devices = field(default_factory=Devices)
    security: SecurityOptions = field(default_factory=SecurityOptions)
    default_ulimits: Sequence[Ulimit] = ()
    maps: IdMaps = NO_MAPS
    """The ids of the container's user namespace; empty for the host's."""
    labels: Labels = field(default_factory=Labels)
    """SELinux."""
    root_path: str = "rootfs"


def build_spec(given: SpecInput) -> dict[str, object]:
    """The OCI runtime spec (config.json). Raises InvalidArgument for what makes no sense as written."""
    host_config = given.host_config
    own_uts = not is_host(host_config.uts_mode)
    spec: dict[str, object] = {
        "ociVersion": VERSION,
        "process": _process(given),
        "root": {"path": given.root_path, "readonly": host_config.readonly_rootfs},
        "mounts": build_mounts(_mount_plan(given)),
        "linux": _linux(given),
    }
    if own_uts and given.hostname:
        spec["hostname"] = given.hostname
    if host_config.annotations:
        spec["annotations"] = dict(host_config.annotations)
    return spec


def wants_init(host_config: HostConfig, *, default: bool) -> bool:
    """Whether a reaping init goes in front of the program: only where the container has its own process ids."""
    asked = default if host_config.init is None else host_config.init
    return asked and is_private_pid(host_config.pid_mode)


def _process(given: SpecInput) -> dict[str, object]:
    process = build_process(
        given.config,
        given.host_config,
        given.host,
        hostname=given.hostname,
        no_new_privileges=given.security.no_new_privileges,
        default_ulimits=given.default_ulimits,
    )
    profile = apparmor_profile(given.security, given.host, privileged=given.host_config.privileged)
    if profile:
        process["apparmorProfile"] = profile
    if given.labels.process:
        process["selinuxLabel"] = given.labels.process
    return process


def _mount_plan(given: SpecInput) -> MountPlan:
    host_config = given.host_config
    private = host_config.ipc_mode in ("", "private") or (host_config.ipc_mode == "shareable" and not given.shm_source)
    tmpfs = [Tmpfs(destination=path, options=options) for path, options in (host_config.tmpfs or {}).items()]
    etc = [
        Bind(
            source=file.source,
            destination=file.destination,
            propagation=file.propagation,
            writable=file.writable and not host_config.readonly_rootfs,
        )
        for file in given.etc_files
    ]
    return MountPlan(
        mounts=[*given.mounts, *tmpfs],
        etc_files=etc,
        shm_size=host_config.shm_size,
        private_shm=private,
        shm_source="" if host_config.ipc_mode == "none" else given.shm_source,
        message_queues=_message_queues(given),
        privileged=host_config.privileged,
        writable_cgroups=_writable_cgroups(given),
    )


def _message_queues(given: SpecInput) -> str:
    if given.maps and is_host(given.host_config.ipc_mode):
        return "bind" if given.host.message_queues else "none"
    return "own"


def _writable_cgroups(given: SpecInput) -> bool:
    """By privilege, unless it was said. Raises InvalidArgument in a user namespace, which has no rights there."""
    asked = given.security.writable_cgroups
    if asked is None:
        return given.host_config.privileged
    if given.maps:
        raise InvalidArgument("option WritableCgroups conflicts with user namespaces and rootless mode")
    return asked


def _linux(given: SpecInput) -> dict[str, object]:
    host_config = given.host_config
    namespaces = build_namespaces(host_config, given.join, given.maps)
    linux: dict[str, object] = {
        "sysctl": build_sysctls(host_config, namespaces, given.domainname, rootless=given.host.rootless),
        "resources": build_resources(given.host_config, given.devices),
        "cgroupsPath": given.cgroup_path,
        "namespaces": namespaces,
        "maskedPaths": _hidden(host_config.masked_paths, masked_paths(given.host), host_config),
        "readonlyPaths": _hidden(host_config.readonly_paths, READONLY_PATHS, host_config),
    }
    if given.maps:
        linux |= given.maps.oci()
    if given.labels.mount:
        linux["mountLabel"] = given.labels.mount
    if given.devices.nodes:
        linux["devices"] = [node.node() for node in given.devices.nodes]
    if propagation := _root_propagation(given.mounts):
        linux["rootfsPropagation"] = propagation
    return linux


def _hidden(asked: Sequence[str] | None, default: Sequence[str], host_config: HostConfig) -> list[str]:
    if host_config.privileged:
        return []
    return list(default if asked is None else asked)


def _root_propagation(mounts: Sequence[Bind | Tmpfs]) -> str:
    """A mount that shares events with the host needs a root that lets them through."""
    kinds = {mount.propagation.removeprefix("r") for mount in mounts if isinstance(mount, Bind)}
    return "shared" if "shared" in kinds else "rslave" if "slave" in kinds else ""
