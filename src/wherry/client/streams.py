"""The multiplexed stream of attach, exec and logs: stdout and stderr over one connection.

    byte 0      1   2   3   4   5   6   7   8 …
    stream      0   0   0   length (big endian)   payload

Stream 0 is stdin echoed, 1 stdout, 2 stderr, 3 an error of the daemon in the middle of the stream.
"""

from __future__ import annotations

from wherry.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = 8
SYSTEM_ERROR = 3


class Demultiplexer:
    """Cuts a multiplexed stream into payloads, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._stream = -1
        self._left = 0
        self._head = b""
        self._error = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (stream, payload piece). Raises ``ClientError`` for an unknown stream or the daemon's own error."""
        position = 0
        while position < len(data):
            if not self._left:
                missing = HEADER - len(self._head)
                self._head += data[position : position + missing]
                position += missing
                if len(self._head) == HEADER:
                    self._open()
                continue
            piece = data[position : position + self._left]
            position += len(piece)
            self._left -= len(piece)
            if self._stream == SYSTEM_ERROR:
                self._error += piece
                if not self._left:
                    raise ClientError(f"error from daemon in stream: {self._error.decode('utf-8', 'replace')}")
            else:
                yield (self._stream or 1), piece

    def _open(self) -> None:
        self._stream, self._left = self._head[0], int.from_bytes(self._head[4:], "big")
        if self._stream > SYSTEM_ERROR:
            raise ClientError(f"Unrecognized input header: {self._stream}")
        self._head = b""


class Plain:
    """The stream of a terminal: everything is stdout."""

    @staticmethod
    def feed(data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the data as it is."""
        yield 1, data


def copy(pieces: Iterator[bytes], *, tty: bool, out: Callable[[bytes], None], err: Callable[[bytes], None]) -> None:
    """Send every payload of a stream where it belongs."""
    source = Plain() if tty else Demultiplexer()
    for data in pieces:
        for stream, piece in source.feed(data):
            (err if stream == 2 else out)(piece)
