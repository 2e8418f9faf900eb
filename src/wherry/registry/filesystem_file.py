"""An open file of the directory driver: one that is read, one that grows."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable

from wherry.linux.syscalls import c_int, c_uint, function
from wherry.registry.storage import Closes

FLUSH_BYTES = 16 * 1024 * 1024
"""After so many bytes the kernel is told to begin writing, so that the fsync at the end finds little left to do."""

_sync_file_range = function("sync_file_range", c_int, ctypes.c_int64, ctypes.c_int64, c_uint)
_SYNC_FILE_RANGE_WRITE = 2


class FileReader(Closes):
    """See ``storage.Reader``."""

    def __init__(self, fd: int, size: int) -> None:
        self.size = size
        self.descriptor: int | None = fd

    def readinto(self, buffer: memoryview) -> int:
        """See ``storage.Reader``."""
        assert self.descriptor is not None
        return os.readv(self.descriptor, [buffer])

    def close(self) -> None:
        """See ``storage.Reader``."""
        if self.descriptor is not None:
            fd, self.descriptor = self.descriptor, None
            os.close(fd)


class FileWriter(Closes):
    """See ``storage.Writer``."""

    def __init__(self, path: str, fd: int, move: Callable[[str, str], None]) -> None:
        """``move`` renames the synced file to where it is published."""
        self._move = move
        self._path = path
        self._fd = fd
        try:
            self.size = regular_size(fd, path)
        except BaseException:
            os.close(fd)
            raise
        self._flushed = self.size

    def write(self, data: memoryview) -> None:
        """See ``storage.Writer``."""
        view = data
        while view:
            count = os.write(self._fd, view)
            self.size += count
            view = view[count:]
        if self.size - self._flushed >= FLUSH_BYTES:
            # Only a hint: what the disk has to say against it, the fsync will say.
            _sync_file_range(self._fd, self._flushed, self.size - self._flushed, _SYNC_FILE_RANGE_WRITE)
            self._flushed = self.size

    def close(self) -> None:
        """See ``storage.Writer``."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def publish(self, target: str) -> None:
        """See ``storage.Writer``."""
        os.fsync(self._fd)
        self._move(self._path, target)
        self.close()


def regular_size(fd: int, path: str) -> int:
    """The size of a regular file; what else it may be is refused."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return status.st_size
