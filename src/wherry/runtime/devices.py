"""Devices of the host for a container: looked up here, so that building the spec stays pure."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from wherry.lib.errors import InvalidArgument
from wherry.wire.container import DeviceMapping, HostConfig

# What a runtime makes in every container, or mounts: not taken over from the host.
_OWN_DEVICES = frozenset({"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"})
_SKIPPED_DIRECTORIES = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device node as it shall be in the container."""

    path: str
    kind: str
    """``c`` or ``b``."""
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    access: str = "rwm"

    def node(self) -> dict[str, object]:
        """The entry of ``linux.devices``."""
        return {
            "path": self.path,
            "type": self.kind,
            "major": self.major,
            "minor": self.minor,
            "fileMode": self.mode,
            "uid": self.uid,
            "gid": self.gid,
        }

    def rule(self) -> dict[str, object]:
        """The entry of ``linux.resources.devices`` that allows it."""
        return {"allow": True, "type": self.kind, "major": self.major, "minor": self.minor, "access": self.access}


@dataclass(frozen=True, slots=True)
class Devices:
    """All that a HostConfig says about devices, with the host's numbers."""

    nodes: tuple[DeviceNode, ...] = ()
    numbers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Major and minor of each block device that an I/O limit names."""


def resolve_devices(config: HostConfig) -> Devices:
    """Look up every device that ``config`` names, and all of the host's if it is privileged.

    Raises InvalidArgument in Docker's words for one that is not there. Touches the file system.
    """
    nodes = list(_host_devices("/dev")) if config.privileged else []
    for mapping in config.devices or ():
        if config.privileged and mapping.path_on_host == (mapping.path_in_container or mapping.path_on_host):
            continue  # already there
        nodes += _mapped(mapping)
    return Devices(tuple(nodes), {path: _block_number(path) for path in _limited(config)})


def _mapped(mapping: DeviceMapping) -> list[DeviceNode]:
    """A device node, or every node below a directory."""
    access = mapping.cgroup_permissions or "rwm"
    if set(access) - set("rwm"):
        raise InvalidArgument(f"invalid device mode: {access}")
    host = os.path.realpath(mapping.path_on_host) if os.path.islink(mapping.path_on_host) else mapping.path_on_host
    inside = mapping.path_in_container or mapping.path_on_host
    reason = "not a device node"
    try:
        if node := _node(host, inside, access):
            return [node]
        below = [_node(path, inside + path.removeprefix(host), access) for path in _files(host)]
        if found := [node for node in below if node]:
            return found
    except OSError as error:
        reason = (error.strerror or "").lower()
    raise InvalidArgument(
        f'error gathering device information while adding custom device "{mapping.path_on_host}": {reason}'
    )


def _host_devices(directory: str) -> Iterator[DeviceNode]:
    for path in _files(directory, _SKIPPED_DIRECTORIES):
        if path.removeprefix("/dev/") in _OWN_DEVICES:
            continue
        try:
            node = _node(path, path, "rwm")
        except FileNotFoundError:
            continue  # gone meanwhile
        if node:
            yield node


def _files(directory: str, skipped: frozenset[str] = frozenset()) -> Iterator[str]:
    """Every file below a directory, symbolic links left alone, in a stable order."""
    for parent, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if name not in skipped)
        yield from (f"{parent}/{name}" for name in sorted(files))


def _node(host: str, inside: str, access: str) -> DeviceNode | None:
    found = os.lstat(host)
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
    if not kind:
        return None
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return DeviceNode(inside, kind, major, minor, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, access)


def _limited(config: HostConfig) -> Iterator[str]:
    yield from (device.path for device in config.blkio_weight_device or ())
    for limits in (
        config.blkio_device_read_bps,
        config.blkio_device_write_bps,
        config.blkio_device_read_iops,
        config.blkio_device_write_iops,
    ):
        yield from (device.path for device in limits or ())


def _block_number(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise InvalidArgument(f"stat {path}: {(error.strerror or '').lower()}") from None
    return os.major(found.st_rdev), os.minor(found.st_rdev)
