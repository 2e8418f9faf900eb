"""Copying a file by descriptor: data without its holes, shared where the file system can, and attributes.

Imports errno, fcntl, os.
"""

from __future__ import annotations

import errno
import fcntl
import os

HIDDEN_ATTRIBUTES = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")
"""What overlay file systems keep for themselves."""

_FICLONE = 0x40049409
_STEP = 1 << 30
_UNABLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY)


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
        if name.startswith(HIDDEN_ATTRIBUTES):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            # Security modules manage their own.
            if error.errno not in (errno.EOPNOTSUPP, errno.ENODATA, errno.EPERM, errno.EACCES):
                raise
