"""Where something is mounted: a descriptor below the container's root, made if need be, and found harmless.

What an image or a shared volume holds may change while we look. So a target is walked to by descriptor, judged by
descriptor (where it really is, on which file system) and mounted on by descriptor; no path is looked up twice.
"""

from __future__ import annotations

import errno
import os

from wherry.linux import mounts, paths
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_mounts import PROC_TARGETS, REMOUNT, Mount

_PROC_ROOT = 1
"""The inode number of a procfs's top, and of nothing else there."""


class Target:
    """An O_PATH descriptor of the place, and what was found out about it."""

    __slots__ = ("fd", "found", "where")

    def __init__(self, fd: int, where: str, *, found: bool) -> None:
        self.fd = fd
        self.where = where
        """The container's path of it, with all links followed."""
        self.found = found
        """Whether it was there."""


def open_target(root: int, mount: Mount, *, directory: bool, source: int = -1) -> Target:
    """``mount``'s target below ``root``. Raises OSError, StartError.

    A missing one is made: a directory, or an empty file. ``source`` is the tree of a bind.
    """
    if mount.kind != REMOUNT and mount.fstype in ("proc", "sysfs") and source < 0:
        return Target(_plain_directory(root, mount), mount.target, found=True)
    try:
        fd, found = paths.open_in(root, mount.target), True
    except FileNotFoundError:
        if mount.kind == REMOUNT:
            raise
        fd, found = paths.make_in(root, mount.target, directory=directory), False
    try:
        return Target(fd, _check(root, fd, mount, source), found=found)
    except (OSError, StartError):
        os.close(fd)
        raise


def place_of(root: int, fd: int) -> str | None:
    """The container's path of ``fd``, as the kernel knows it now; None when that is not below the root."""
    top = os.readlink(f"/proc/self/fd/{root}").rstrip("/")
    here = os.readlink(f"/proc/self/fd/{fd}")
    if here == (top or "/"):
        return "/"
    return here[len(top) :] if here.startswith(f"{top}/") else None


def _plain_directory(root: int, mount: Mount) -> int:
    """The kernel's own file systems stand where their path says, behind no link (CVE-2019-19921, CVE-2023-27561)."""
    try:
        os.close(paths.make_in(root, mount.target, directory=True))
        return paths.open_in(root, mount.target, os.O_PATH | os.O_DIRECTORY, links=False)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise StartError(
                f'{mount.title}: filesystem "{mount.fstype}" must be mounted on ordinary directory'
            ) from None
        raise


def _check(root: int, fd: int, mount: Mount, source: int) -> str:
    """Refuse what would cover the root, or redirect what we or others write to /proc (CVE-2019-16884 and its kin)."""
    where = place_of(root, fd)
    if where is None:
        raise StartError(f"{mount.title}: mountpoint is outside of rootfs")
    if mount.kind == REMOUNT:
        return where
    if where == "/":
        raise StartError(f"{mount.title}: mountpoint is on the top of rootfs")
    in_proc = mounts.magic(fd) == mounts.PROC_MAGIC
    if where == "/proc" or (in_proc and os.fstat(fd).st_ino == _PROC_ROOT):
        if source < 0 or mounts.magic(source) != mounts.PROC_MAGIC:
            raise StartError(f'{mount.title}: "{where}" cannot be mounted because it is not of type proc')
    elif (in_proc or where.startswith("/proc/")) and where not in PROC_TARGETS:
        raise StartError(f'{mount.title}: "{where}" cannot be mounted because it is inside /proc')
    return where
