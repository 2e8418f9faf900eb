"""Giving up on a transfer from another thread: a blocking read or connect must not outlive its client."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from wherry.diff.errors import Stopped


class Stop(threading.Event):
    """An event that also wakes whoever blocks on a socket being watched. Thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: set[socket.socket] = set()
        self._guard = threading.Lock()

    def set(self) -> None:
        """Give up: every watched socket is shut down, so that its reader and writer return at once."""
        super().set()
        with self._guard:
            for watched in self._sockets:
                _shut(watched)

    def watch(self, watched: socket.socket) -> None:
        """Shut this socket down when the event is set. Raises Stopped if it is."""
        with self._guard:
            self._sockets.add(watched)
        if self.is_set():
            self.unwatch(watched)
            raise Stopped

    def unwatch(self, watched: socket.socket) -> None:
        """The socket is no longer of this transfer."""
        with self._guard:
            self._sockets.discard(watched)

    @contextlib.contextmanager
    def watching(self, watched: socket.socket) -> Iterator[None]:
        """Watch for the time of a block. Raises Stopped when the event was set meanwhile, whatever the block raised."""
        self.watch(watched)
        try:
            yield
        except OSError:
            self.check()
            raise
        finally:
            self.unwatch(watched)
        self.check()

    def check(self) -> None:
        """Raises Stopped once the event is set."""
        if self.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Sleep. Raises Stopped when the event is set before the time is over."""
        if self.wait(seconds):
            raise Stopped


def _shut(watched: socket.socket) -> None:
    # Of the base class: that of SSLSocket forgets the TLS state under the feet of the thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(watched, socket.SHUT_RDWR)
