"""A blob on its way in: hashed as it is written, a file of its own that no reader sees until it is published."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Self

from wherry.oci.digest import Digest

FLUSH_BYTES = 16 * 1024 * 1024
"""After so many bytes the kernel is told to begin writing, so that the fsync at the end finds little left to do."""
_CHUNK = 1024 * 1024

_sync_file_range = ctypes.CDLL(None, use_errno=True).sync_file_range
_SYNC_FILE_RANGE_WRITE = 2


class Staged:
    """A file below ``ingest``; a context manager that throws it away unless it was published. Not thread-safe.

    With ``resume`` the file may be there, and what it holds is the beginning of the blob: see ``rehash``.
    """

    def __init__(self, path: str, *, resume: bool = False) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._flushed = 0
        new = os.O_CREAT if resume else os.O_CREAT | os.O_EXCL
        self._fd = os.open(path, os.O_RDWR | new | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.published = False

    def rehash(self, limit: int, told: Callable[[int], bool]) -> int:
        """Take what the file holds as written, ``limit`` bytes at most; how many they are.

        ``told`` learns the bytes so far and says whether to stop there. What was not taken is cut off.
        """
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while self.size < limit:
            count = os.preadv(self._fd, [view[: min(_CHUNK, limit - self.size)]], self.size)
            if count == 0:
                break
            self._hash.update(view[:count])
            self.size += count
            if told(self.size):
                break
        os.ftruncate(self._fd, self.size)
        os.lseek(self._fd, self.size, os.SEEK_SET)
        self._flushed = self.size
        return self.size

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``. Raises OSError (no space left)."""
        self._hash.update(data)
        view = memoryview(data)
        self.size += len(view)
        while view:
            view = view[os.write(self._fd, view) :]
        if self.size - self._flushed >= FLUSH_BYTES:
            start, count = ctypes.c_int64(self._flushed), ctypes.c_int64(self.size - self._flushed)
            _sync_file_range(self._fd, start, count, _SYNC_FILE_RANGE_WRITE)
            self._flushed = self.size

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest(f"sha256:{self._hash.hexdigest()}")

    def done(self) -> None:
        """No more will be written: let go of the descriptor, since an archive may have very many members."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def open(self) -> BinaryIO:
        """What was written, from its beginning."""
        return open(self.path, "rb", buffering=0)

    def discard(self) -> None:
        """Delete the file unless it was published."""
        self.done()
        if not self.published:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()
