"""What a container's program may not see or write: masked and read-only paths.

Each is opened once, below the container's root, judged by that descriptor, and covered through it. What the kernel's
file systems hold must truly be theirs: an image that brings its own /proc, or a link in it, would otherwise have the
mask put elsewhere (CVE-2025-31133, CVE-2025-52881).
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.linux import mounts, paths
from wherry.linux.mounts import MOUNT_ATTR_RDONLY, MS_RDONLY
from wherry.runtime.init_errors import StartError, Step, from_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wherry.runtime.init_mounts import Mount

_NULL = os.makedev(1, 3)
_KERNEL = {"/proc/": mounts.PROC_MAGIC, "/sys/": mounts.SYSFS_MAGIC}


def make_read_only(root: int, path: str, mounted: Iterable[Mount]) -> None:
    """Make ``path`` and what is mounted below it read-only; nothing there is success. Raises StartError."""
    with Step(f'error making "{path}" read-only'):
        target = _existing(root, path, mounted)
        if target is None:
            return
        tree = mounts.open_tree("", directory=target, recursive=True)
        mounts.mount_setattr(tree, attributes=MOUNT_ATTR_RDONLY, recursive=True)
        mounts.move_mount(tree, target)
        os.close(tree)
        os.close(target)


def mask(root: int, path: str, null: int, mounted: Iterable[Mount], label: str = "") -> None:
    """Cover ``path``: a directory with an empty one, a file with ``null``. Raises StartError."""
    with Step(f'can\'t mask path "{path}"'):
        target = _existing(root, path, mounted)
        if target is None:
            return
        if stat.S_ISDIR(os.fstat(target).st_mode):
            mounts.mount_at("tmpfs", target, "tmpfs", MS_RDONLY, f'context="{label}"' if label else None)
        else:
            tree = mounts.open_tree("", directory=null)
            mounts.move_mount(tree, target)
            os.close(tree)
        os.close(target)


def open_null(root: int) -> int:
    """The container's /dev/null if it truly is that device (CVE-2025-31133), else the host's. Raises StartError."""
    try:
        fd = paths.open_in(root, "/dev/null", links=False)
    except OSError:
        fd = -1
    if fd >= 0 and not _is_null(fd):
        os.close(fd)
        fd = -1
    if fd < 0:
        fd = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
    if not _is_null(fd):
        raise StartError("can't mask paths: /dev/null is not the null device")
    return fd


def _existing(root: int, path: str, mounted: Iterable[Mount]) -> int | None:
    """``path`` if there is one. In /proc and /sys it must be the kernel's own, whatever links lead there."""
    expected = _KERNEL.get(path[: path.find("/", 1) + 1])
    try:
        fd = paths.open_in(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if expected is not None and mounts.magic(fd) not in (expected, mounts.CGROUP_MAGIC, mounts.CGROUP2_MAGIC):
        os.close(fd)
        if _is_mounted(path, mounted):
            raise from_errno(f"{path} is not the kernel's own file", errno.ELOOP)
        return None
    return fd


def _is_mounted(path: str, mounted: Iterable[Mount]) -> bool:
    """Whether /proc or /sys was to be mounted: without it the path is the image's own, and hides nothing."""
    return any(path.startswith(f"{mount.target}/") and mount.fstype in ("proc", "sysfs") for mount in mounted)


def _is_null(fd: int) -> bool:
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL
