"""Bytes in order, buffered: what the tar reader reads from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wherry.diff.errors import Truncated

Pull = Callable[[], bytes]
"""Gives the next bytes, empty at the end."""


class Source:
    """A stream cut into exact pieces. ``position`` counts the bytes consumed."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._buffer = b""
        self._at = 0
        self.position = 0

    def held(self, count: int) -> bytes | None:
        """The next ``count`` bytes if they have been read already, else None and nothing is consumed."""
        end = self._at + count
        if end > len(self._buffer):
            return None
        piece = self._buffer[self._at : end]
        self._at = end
        self.position += count
        return piece

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes. Raises Truncated when there are fewer."""
        piece = self.at_most(count)
        if len(piece) < count:
            raise Truncated
        return piece

    def at_most(self, count: int) -> bytes:
        """The next ``count`` bytes, or fewer at the end of the stream."""
        piece = self.held(count)
        if piece is not None:
            return piece
        return b"".join(bytes(part) for part in self._parts(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next ``count`` bytes, piece by piece. Raises Truncated."""
        left = count
        for part in self._parts(count):
            left -= len(part)
            yield part
        if left:
            raise Truncated

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes. Raises Truncated."""
        for _ in self.pieces(count):
            pass

    def drain(self) -> None:
        """Read to the end of the stream."""
        self.position += len(self._buffer) - self._at
        self._buffer, self._at = b"", 0
        while data := self._pull():
            self.position += len(data)

    def _parts(self, count: int) -> Iterator[memoryview]:
        while count > 0:
            if self._at >= len(self._buffer):
                self._buffer, self._at = self._pull(), 0
                if not self._buffer:
                    return
            part = memoryview(self._buffer)[self._at : self._at + count]
            self._at += len(part)
            self.position += len(part)
            count -= len(part)
            yield part
