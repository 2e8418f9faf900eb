"""Turning over a log's files when one is full. Imports errno, fcntl, os.

    x.log → x.log.1 → x.log.2 … x.log.<max_files - 1> → dropped; with .gz once they are compressed

Only the last file is ever dropped, and with ``max_files`` 1 the only one is emptied. Whoever reads a file of the log
holds a shared flock(2) on it, and none of these does it any harm before the reader lets go (R10): with one file alone
the full one becomes x.log.1 for so long, and when the file to drop is held, the log grows on instead of turning over,
up to a limit that no reader can move. Nothing here waits for a lock.
"""

from __future__ import annotations

import errno
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
MODE = 0o640
_LEAST_PATIENCE = 64 << 20
_PATIENCE = 16
"""With a reader that stands still the log may take so many times its size, and 64 MiB at least."""
_GZIP_STEP = 256 * 1024
_SUFFIXES = ("", ".gz")


class Rotation:
    """When and how one log is turned over."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._path: str = options["path"]
        self._max_size: int = options["max_size"]
        self._files: int = max(1, options["max_files"])
        self._compress: bool = options["compress"]
        self._largest = max(_PATIENCE * self._max_size * self._files, _LEAST_PATIENCE) // self._files
        self._next: int = self._max_size
        """Bytes at which it is tried next."""
        self._compressing: Iterator[None] | None = None

    def due(self, size: int) -> bool:
        """Whether a file of ``size`` bytes is to be turned over before the next line."""
        if size < self._max_size:
            self._next = self._max_size  # somebody else has truncated it
        return 0 <= self._next <= size

    def turn(self, active: int, size: int) -> int:
        """Turn the log over; a descriptor of the new file, or ``active`` if that is to be written on (emptied or not).

        Raises nothing: better a log too long than none.
        """
        self.finish()
        try:
            turned = self._turn(active, forced=size >= self._largest)
        except OSError:
            turned = -1
        self._next = self._max_size if turned >= 0 else size + self._max_size
        return turned if turned >= 0 else active

    @property
    def busy(self) -> bool:
        """Whether ``step`` has work to do."""
        return self._compressing is not None

    def step(self) -> None:
        """Compress a little more of what has been turned over."""
        if self._compressing is not None:
            try:
                next(self._compressing)
            except (StopIteration, OSError):
                self._compressing = None

    def finish(self) -> None:
        """Complete what is under way."""
        while self.busy:
            self.step()

    def close(self) -> None:
        """The log has ended: drop what was kept for a reader alone."""
        self.finish()
        if self._files == 1 and self._max_size >= 0:
            self._drop(1, forced=False)

    def _turn(self, active: int, *, forced: bool) -> int:
        """The descriptor to write on, -1 if the log cannot be turned over now. Raises OSError."""
        last = max(1, self._files - 1)
        if not self._drop(last, forced=forced):
            return -1
        if self._files == 1 and _lock(active):
            os.ftruncate(active, 0)
            fcntl.flock(active, fcntl.LOCK_UN)
            return active
        # Made first, because a full disk may have no room for it.
        fresh = os.open(f"{self._path}.new", FLAGS, MODE)
        try:
            for number in range(last, 1, -1):
                for suffix in _SUFFIXES:
                    _rename(f"{self._path}.{number - 1}{suffix}", f"{self._path}.{number}{suffix}")
            os.rename(self._path, f"{self._path}.1")
            os.rename(f"{self._path}.new", self._path)
        except OSError:
            os.close(fresh)
            raise
        os.close(active)
        if self._compress:
            self._compressing = self._compress_all()
        return fresh

    def _drop(self, number: int, *, forced: bool) -> bool:
        """Remove a file, unless a reader holds it; whether it is gone."""
        for suffix in _SUFFIXES:
            path = f"{self._path}.{number}{suffix}"
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                if not forced and not _lock(fd):
                    return False
                os.unlink(path)  # with the lock: a reader that comes now sees that the file is gone, and looks again
            finally:
                os.close(fd)
        return True

    def _compress_all(self) -> Iterator[None]:
        """One after the other, those that a reader held the last time too."""
        for number in range(1, self._files):
            if os.path.exists(f"{self._path}.{number}"):
                yield from compress(f"{self._path}.{number}")


def compress(path: str) -> Iterator[None]:
    """Replace ``path`` by ``path.gz``, a step per iteration: the shim has no thread, and may not fork any more.

    A file that a reader holds stays as it is.
    """
    import zlib  # noqa: PLC0415  most logs are never compressed; the shim itself never leaves the host's root

    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    staged = f"{path}.gz.tmp"
    source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        target = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
        try:
            while chunk := os.read(source, _GZIP_STEP):
                _write_all(target, packer.compress(chunk))
                yield
            _write_all(target, packer.flush())
        except OSError:
            os.unlink(staged)
            raise
        finally:
            os.close(target)
        if _lock(source):
            os.rename(staged, f"{path}.gz")
            os.unlink(path)
        else:
            os.unlink(staged)
    finally:
        os.close(source)


def _lock(fd: int) -> bool:
    """Take the file for ourselves if no reader holds it. A file system without locks has no readers that hold one."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno != errno.EAGAIN
    return True


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _rename(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except FileNotFoundError:
        return
