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


def open_target(root: int, mount: Mount, *, directory: bool, source: int = -1) -> tuple[int, bool]:
    """An O_PATH descriptor of ``mount``'s target below ``root``, and whether it was there.

    A missing one is made: a directory, or an empty file. ``source`` is the tree of a bind. Raises OSError, StartError.
    """
    if mount.kind != REMOUNT and mount.fstype in ("proc", "sysfs") and source < 0:
        return _plain_directory(root, mount)
    try:
        fd, found = paths.open_in(root, mount.target), True
    except FileNotFoundError:
        if mount.kind == REMOUNT:
            raise
        fd, found = paths.make_in(root, mount.target, directory=directory), False
    try:
        _check(root, fd, mount, source)
    except (OSError, StartError):
        os.close(fd)
        raise
    return fd, found


def _plain_directory(root: int, mount: Mount) -> tuple[int, bool]:
    """The kernel's own file systems stand where their path says, behind no link (CVE-2019-19921, CVE-2023-27561)."""
    try:
        os.close(paths.make_in(root, mount.target, directory=True))
        return paths.open_in(root, mount.target, os.O_PATH | os.O_DIRECTORY, links=False), True
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise StartError(
                f"{mount.title}: filesystem {mount.fstype!r} must be mounted on ordinary directory".replace("'", '"')
            ) from None
        raise


def _check(root: int, fd: int, mount: Mount, source: int) -> None:
    """Refuse what would cover the root, or redirect what we or others write to /proc (CVE-2019-16884 and its kin)."""
    where = _inside(root, fd)
    if where is None:
        raise StartError(f"{mount.title}: mountpoint is outside of rootfs")
    if mount.kind == REMOUNT:
        return
    if where == "/":
        raise StartError(f"{mount.title}: mountpoint is on the top of rootfs")
    in_proc = mounts.magic(fd) == mounts.PROC_MAGIC
    if where == "/proc" or (in_proc and os.fstat(fd).st_ino == _PROC_ROOT):
        if source < 0 or mounts.magic(source) != mounts.PROC_MAGIC:
            raise StartError(f'{mount.title}: "{where}" cannot be mounted because it is not of type proc')
    elif (in_proc or where.startswith("/proc/")) and where not in PROC_TARGETS:
        raise StartError(f'{mount.title}: "{where}" cannot be mounted because it is inside /proc')


def _inside(root: int, fd: int) -> str | None:
    """The container's path of ``fd``, as the kernel knows it now; None when that is not below the root."""
    top = os.readlink(f"/proc/self/fd/{root}").rstrip("/")
    here = os.readlink(f"/proc/self/fd/{fd}")
    if here == (top or "/"):
        return "/"
    return here[len(top) :] if here.startswith(f"{top}/") else None
