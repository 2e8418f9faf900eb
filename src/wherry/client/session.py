"""A live conversation with a container: stdin to it, its output from it, until one side ends.

One ``poll`` loop and no threads: it waits for the user's input, the container's output, and whatever else the caller
watches (a pipe that signals arrive in, the answer that brings the exit code). A thread would cost 10 ms of imports and
could not be woken from a read of the terminal.
"""

from __future__ import annotations

import os
import select

from wherry.client.errors import ClientError
from wherry.client.streams import Demultiplexer, Plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

PIECE = 64 << 10
_SHUT_WR = 1
_DONTWAIT = 0x40
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Detached(ClientError):
    """The user typed the keys that leave a container running."""

    def __init__(self) -> None:
        super().__init__("read escape sequence")


class EscapeKeys:
    """Finds the detach sequence in what the user types, and holds back a beginning of it until it is decided."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the sequence is complete."""
        passed = bytearray()
        for byte in data:
            if self._keys and byte == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._held]
            self._held = 0
            passed.append(byte)
        return bytes(passed), False


class Session:
    """Both directions of one hijacked connection, and the other things to watch meanwhile."""

    def __init__(
        self,
        connection: tuple[socket.socket, bytes],
        *,
        tty: bool,
        stdin: int | None,
        out: Callable[[bytes], None] | None,
        err: Callable[[bytes], None] | None,
        keys: bytes = b"",
    ) -> None:
        """Give stdin's descriptor and where outputs go; None is not attached. ``keys`` detach (terminals only)."""
        self._socket, self._first = connection
        self._source: Plain | Demultiplexer = Plain() if tty else Demultiplexer()
        self._stdin = stdin
        self._out = out
        self._err = err
        self._escape = EscapeKeys(keys) if tty and keys else None
        self._outgoing = b""
        self._poll = select.poll()
        self._watched: dict[int, Callable[[int], bool]] = {}
        self.tick: Callable[[], int | None] = lambda: None
        """Called before each wait; returns milliseconds after which to call it again, or None."""

    def watch(self, fd: int, ready: Callable[[int], bool]) -> None:
        """Call ``ready`` with poll's events whenever ``fd`` is readable; the session ends when it returns True."""
        self._watched[fd] = ready
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        """Stop watching."""
        if self._watched.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def run(self) -> None:
        """Copy until the container's side ends (or stdin, if no output is attached). Raises ``Detached``."""
        self.watch(self._socket.fileno(), self._ready)
        if self._stdin is None:
            self._end_input()
        else:
            self.watch(self._stdin, self._typed)
        if self._first:
            self._arrived(self._first)
        self.wait()
        self.unwatch(self._socket.fileno())
        if self._stdin is not None:
            self.unwatch(self._stdin)

    def wait(self) -> None:
        """Serve what is watched until one of it says that this is the end."""
        while self._watched:
            for fd, events in self._poll.poll(self.tick()):
                ready = self._watched.get(fd)
                if ready is not None and ready(events):
                    return

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _ready(self, events: int) -> bool:
        if events & select.POLLOUT:
            self._send()
        if not events & (select.POLLIN | _GONE):
            return False
        try:
            data = self._socket.recv(PIECE)
        except ConnectionResetError:
            data = b""
        self._arrived(data)
        return not data

    def _arrived(self, data: bytes) -> None:
        for stream, piece in self._source.feed(data):
            write = self._err if stream == 2 else self._out
            if write is not None:
                write(piece)

    def _typed(self, _events: int) -> bool:
        assert self._stdin is not None
        try:
            data = os.read(self._stdin, PIECE)
        except OSError:
            data = b""
        if not data:
            self.unwatch(self._stdin)
            self._end_input()
            return not (self._out or self._err)
        detach = False
        if self._escape is not None:
            data, detach = self._escape.feed(data)
        self._outgoing = data
        self._send()
        if detach:
            raise Detached
        return False

    def _send(self) -> None:
        """Send what can be sent now. Until the rest went too, no more input is read and output keeps flowing."""
        assert self._stdin is not None
        try:
            sent = self._socket.send(self._outgoing, _DONTWAIT) if self._outgoing else 0
        except BlockingIOError:
            sent = 0
        except OSError:  # the container's end is gone; its output tells the rest
            self.unwatch(self._stdin)
            self._outgoing = b""
            return
        self._outgoing = self._outgoing[sent:]
        self._poll.modify(self._socket.fileno(), select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        if not self._outgoing:
            self.watch(self._stdin, self._typed)
        else:
            self.unwatch(self._stdin)  # not just masked: poll reports a pipe's end whatever it was asked for

    def _end_input(self) -> None:
        try:
            self._socket.shutdown(_SHUT_WR)
        except OSError:
            return
