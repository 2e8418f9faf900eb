"""A blob that one thread writes while others already read it from its beginning, through the page cache.

No queue of bytes lies between them, so a reader may come late, be slow or be several, and the memory that it takes
does not grow with the blob.
"""

from __future__ import annotations

import os
import threading

from wherry.diff.errors import Stopped


class Growing:
    """The written part of a staged blob."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._fd = -1
        self._ended = False
        self._broken = False
        self.available = 0
        """Bytes that can be read."""

    def begin(self, path: str) -> None:
        """Bytes will come into this file. Its name may change, and go."""
        with self._changed:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._changed.notify_all()

    def grew(self, size: int) -> None:
        """The file has ``size`` bytes now."""
        with self._changed:
            self.available = size
            self._changed.notify_all()

    def end(self, *, broken: bool = False) -> None:
        """No more will come: the blob is whole, or ``broken`` and readers must give up."""
        with self._changed:
            self._ended, self._broken = True, broken
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of the file. Nobody may be reading."""
        with self._changed:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def take(self, size: int, offset: int, stop: threading.Event) -> bytes:
        """At most ``size`` bytes at ``offset``, waiting for some; empty at the end.

        Raises Stopped when the blob is broken or ``stop`` is set; who sets that calls ``wake``.
        """
        with self._changed:
            while offset >= self.available and not self._ended and not stop.is_set():
                self._changed.wait()
            if self._broken or stop.is_set():
                raise Stopped
            count = min(size, self.available - offset)
        return os.pread(self._fd, count, offset) if count > 0 else b""

    def wake(self) -> None:
        """Let waiting readers look at their ``stop``."""
        with self._changed:
            self._changed.notify_all()


class Reader:
    """Reads a growing blob in order."""

    def __init__(self, blob: Growing, stop: threading.Event) -> None:
        self._blob = blob
        self._stop = stop
        self.position = 0

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, waiting for some; empty at the end. Raises Stopped."""
        data = self._blob.take(size, self.position, self._stop)
        self.position += len(data)
        return data


class StopReading(threading.Event):
    """An event that also wakes the readers of a blob."""

    def __init__(self, blob: Growing) -> None:
        super().__init__()
        self._blob = blob

    def set(self) -> None:
        """Give up reading."""
        super().set()
        self._blob.wake()
