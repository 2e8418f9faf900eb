"""A container's /dev: the devices that every container has, those that were asked for, and the usual links."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from wherry.linux import mounts, paths
from wherry.runtime.init_errors import StartError, Step
from wherry.runtime.init_mount_sources import host_device
from wherry.runtime.init_mount_target import place_of
from wherry.runtime.init_mounts import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Device = Mapping[str, Any]

# The devices that every container has (runtime-spec, config-linux, default devices).
DEFAULTS = tuple(
    {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor}
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)
_PTMX = "/dev/ptmx"
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def wanted(linux: Mapping[str, Any]) -> list[Device]:
    """The devices to make, with clean paths: what ``linux.devices`` names replaces a default. Raises StartError."""
    devices: list[Device] = []
    for device in linux.get("devices") or ():
        if device["type"] not in _KINDS:
            raise StartError(f"invalid device type {device['type']!r}".replace("'", '"'))
        if device.get("path"):  # without, it is there for the cgroup's sake
            devices.append({**device, "path": clean(device["path"])})
    named = {device["path"] for device in devices}
    devices += [device for device in DEFAULTS if device["path"] not in named]
    return [device for device in devices if device["path"] != _PTMX]


def take_from_host(devices: list[Device]) -> dict[str, int]:
    """The host's own nodes of ``devices``, as detached mounts by path: for a user namespace, which may not make any.

    -1 stands for one that the host has not got.
    """
    nodes = {}
    for device in devices:
        if device["type"] != "p":
            try:
                nodes[device["path"]] = host_device(device)
            except OSError:
                nodes[device["path"]] = -1
    return nodes


def make_all(root: int, devices: list[Device], *, covered: set[str], bound: set[str], nodes: dict[str, int]) -> None:
    """Make ``devices`` and the links below ``root``. Raises StartError.

    ``covered`` are the paths that config.json mounts something on: whatever is there is meant. ``bound`` is where the
    host's directories are, to which no link of the image may lead us. ``nodes`` are from ``take_from_host``; they are
    closed.
    """
    directories: dict[str, int] = {}
    try:
        for device in devices:
            with Step(f'error creating device nodes: mknod "{device["path"]}"'):
                parent, _, name = device["path"].rpartition("/")
                if parent not in directories:
                    directories[parent] = _directory(root, parent, bound)
                _make(directories[parent], name, device, covered, nodes.pop(device["path"], None))
        with Step("error setting up /dev symlinks"):
            if "/dev" not in directories:
                directories["/dev"] = _directory(root, "/dev", bound)
            _make_links(directories["/dev"], covered)
    finally:
        for fd in (*directories.values(), *(node for node in nodes.values() if node >= 0)):
            os.close(fd)


def _directory(root: int, path: str, bound: set[str]) -> int:
    """Where devices are to be made: as said, or where links lead, but for the host's directories (CVE-2026-41579)."""
    fd = paths.make_in(root, path, directory=True)
    where = place_of(root, fd)
    if where != (path or "/") and (where is None or any(f"{where}/".startswith(f"{other}/") for other in bound)):
        os.close(fd)
        raise StartError(f'error creating device nodes: a link leads from "{path}" out of the container')
    return fd


def _make(parent: int, name: str, device: Device, covered: set[str], node: int | None) -> None:
    if node is not None:
        _bind(parent, name, node)
        return
    kind = _KINDS[device["type"]]
    number = os.makedev(device.get("major", 0), device.get("minor", 0)) if kind != stat.S_IFIFO else 0
    mode = device.get("fileMode")
    mode = 0o666 if mode is None else mode & 0o7777
    try:
        os.mknod(name, kind | mode, number, dir_fd=parent)
    except FileExistsError:
        if device["path"] not in covered:
            _compare(parent, name, device, kind, number)
        return
    except PermissionError:
        # We are in somebody's user namespace ourselves. The host's tree is still in sight.
        _bind(parent, name, host_device(device))
        return
    uid, gid = device.get("uid") or 0, device.get("gid") or 0
    if uid or gid:
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)


def _compare(parent: int, name: str, device: Device, kind: int, number: int) -> None:
    """What is there must be what was asked for (runtime-spec, config-linux, devices)."""
    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_IFMT(found.st_mode) != kind or (kind != stat.S_IFIFO and found.st_rdev != number):
        raise StartError(f'error creating device nodes: "{device["path"]}" exists and is not the requested device')


def _bind(parent: int, name: str, node: int) -> None:
    """Put a node of the host's down on an empty file."""
    if node < 0:
        raise OSError(errno.ENODEV, "no such device on the host")
    try:
        target = paths.make_at(parent, name, directory=False, mode=0o644)
        try:
            mounts.move_mount(node, target)
        finally:
            os.close(target)
    finally:
        os.close(node)


def _make_links(dev: int, covered: set[str]) -> None:
    links = [*LINKS]
    if os.path.exists("/proc/kcore"):
        links.append(("core", "/proc/kcore"))
    for name, target in links:
        _link(target, name, dev)
    if _PTMX not in covered:
        # An image's own would be the host's terminals.
        with contextlib.suppress(FileNotFoundError):
            os.unlink("ptmx", dir_fd=dev)
        _link("pts/ptmx", "ptmx", dev)


def _link(target: str, name: str, directory: int) -> None:
    try:
        os.symlink(target, name, dir_fd=directory)
    except FileExistsError:
        return
