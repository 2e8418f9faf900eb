"""A blob on its way in: hashed as it is written, a file of its own that no reader sees until it is published."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
from types import TracebackType
from typing import BinaryIO, Self

from wherry.oci.digest import Digest

FLUSH_BYTES = 16 * 1024 * 1024
"""After so many bytes the kernel is told to begin writing, so that the fsync at the end finds little left to do."""

_sync_file_range = ctypes.CDLL(None, use_errno=True).sync_file_range
_SYNC_FILE_RANGE_WRITE = 2


class Staged:
    """A file below ``ingest``; a context manager that throws it away unless it was published. Not thread-safe."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._flushed = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.published = False

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
