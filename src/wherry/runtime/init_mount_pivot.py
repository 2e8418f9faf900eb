"""The last step into a container's root: it becomes ours, and the old one goes."""

from __future__ import annotations

import errno
import os

from wherry.linux import mounts
from wherry.linux.mounts import MS_REC, MS_SLAVE

_MOUNTINFO_LIMIT = 1 << 24


def pivot(root: int) -> None:
    """Make the mount that ``root`` is open on our root directory and let go of the old one. Raises OSError."""
    old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(root)
    # The old root ends up stacked on the new one's "." (pivot_root(2), NOTES): no directory is made for it.
    mounts.pivot_root(".", ".")
    os.fchdir(old)
    # The unmount below must not travel back to the host.
    mounts.mount(None, ".", None, MS_SLAVE | MS_REC)
    mounts.unmount(".", mounts.MNT_DETACH)
    os.chdir("/")
    os.close(old)


def move(root: int) -> None:
    """As ``pivot`` where that cannot be had (an initramfs): move it onto "/" and chroot(2). Raises OSError.

    The old root stays in the namespace, below ours. Its /proc and /sys go first, as by runc: in a user namespace
    they would be what allows mounting new, unmasked ones.
    """
    top = os.readlink(f"/proc/self/fd/{root}")
    os.fchdir(root)
    if top != "/":
        for point in _kernel_mounts(top):
            _uncover(point)
        here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts.move_mount(root, here)
        os.close(here)
    os.chroot(".")
    os.chdir("/")


def _kernel_mounts(root: str) -> list[str]:
    """Where whole procfs and sysfs are mounted outside ``root``; the innermost last."""
    fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = b""
        while len(text) < _MOUNTINFO_LIMIT and (chunk := os.read(fd, 1 << 16)):
            text += chunk
    finally:
        os.close(fd)
    found = []
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        fields = line.split(" ")
        inside = fields[4] == root or fields[4].startswith(f"{root}/")
        if fields[3] == "/" and not inside and fields[fields.index("-") + 1] in ("proc", "sysfs"):
            found.append(_plain(fields[4]))
    return found


def _plain(escaped: str) -> str:
    for text, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        escaped = escaped.replace(text, character)
    return escaped


def _uncover(point: str) -> None:
    try:
        mounts.mount(None, point, None, MS_SLAVE | MS_REC)
        mounts.unmount(point, mounts.MNT_DETACH)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return  # it went with what it was mounted in
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        mounts.mount("tmpfs", point, "tmpfs", 0)
