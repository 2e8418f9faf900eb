"""Copying what lies in a directory by descriptor: data without its holes, shared where the file system can, attributes.

A walker over two trees (``snapshots.copied``, ``volumes.populate``) opens the directories; everything else is here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable

from wherry.linux.overlay_form import is_reserved
from wherry.linux.syscalls import c_int, check, function

Owner = Callable[[int, int], tuple[int, int]]
"""The copy's uid and gid for those of the source."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409
_STEP = 1 << 30
_UNABLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY)
_syncfs = function("syncfs", c_int)


def same_owner(uid: int, gid: int) -> tuple[int, int]:
    """The copy belongs to whom the source belongs to."""
    return uid, gid


class Links:
    """The files with several names in a copy to below the directory ``top``."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._first: dict[tuple[int, int], str] = {}

    def made(self, found: os.stat_result, target: int, path: str) -> bool:
        """Whether ``path``, an entry of ``target``, was made another name of a file copied before.

        The top must be ours alone: a path is safe in it then.
        """
        if found.st_nlink == 1:
            return False
        first = self._first.setdefault((found.st_dev, found.st_ino), path)
        if first == path:
            return False
        os.link(first, os.path.basename(path), src_dir_fd=self._top, dst_dir_fd=target, follow_symlinks=False)
        return True


def copy_entry(source: int, target: int, name: str, found: os.stat_result, owner: Owner = same_owner) -> None:
    """Copy the entry ``name`` of the directory ``source``, which is no directory, into ``target``."""
    if stat.S_ISREG(found.st_mode):
        _copy_file(source, target, name, owner)
        return
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev, dir_fd=target)
    os.chown(name, *owner(found.st_uid, found.st_gid), dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=target)
    os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str, owner: Owner) -> None:
    reading = os.open(name, _READ, dir_fd=source)
    try:
        writing = os.open(name, _NEW, 0o600, dir_fd=target)
        try:
            copy_data(reading, writing)
            copy_metadata(reading, writing, owner)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def copy_metadata(source: int, target: int, owner: Owner = same_owner) -> None:
    """Owner first: changing it clears capabilities and set-user-id bits. Times last."""
    found = os.fstat(source)
    os.fchown(target, *owner(found.st_uid, found.st_gid))
    copy_attributes(source, target)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def wait_for_disk(fd: int, about: object) -> None:
    """Sync the file system that holds ``fd``: one call for all files, where each by itself costs half a millisecond."""
    check(_syncfs(fd), "syncfs", about)


def copy_data(reading: int, writing: int) -> None:
    """Copy a whole file into an empty one and keep its holes: an image may hold a terabyte of nothing."""
    size = os.fstat(reading).st_size
    if size and not _share(reading, writing):
        position = 0
        while position < size:
            try:
                start = os.lseek(reading, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break
            position = os.lseek(reading, start, os.SEEK_HOLE)
            _copy_range(reading, writing, start, position)
    os.ftruncate(writing, size)


def _share(reading: int, writing: int) -> bool:
    """Let both files have the same blocks (btrfs, xfs)."""
    try:
        fcntl.ioctl(writing, _FICLONE, reading)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        return False
    return True


def _copy_range(reading: int, writing: int, start: int, end: int) -> None:
    while start < end:
        try:
            copied = os.copy_file_range(reading, writing, min(end - start, _STEP), start, start)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
            copied = os.pwrite(writing, os.pread(reading, min(end - start, 1 << 20), start), start)
        if copied == 0:
            return
        start += copied


def copy_attributes(source: int, target: int) -> None:
    """Copy the extended attributes, as far as the target's file system has such and we may set them."""
    for name in os.listxattr(source):
        if is_reserved(name):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            # Security modules manage their own.
            if error.errno not in (errno.EOPNOTSUPP, errno.ENODATA, errno.EPERM, errno.EACCES):
                raise
