"""Where a request body ends: pure, fed with what arrives, never reading past the end.

    Content-Length   <n bytes>
    chunked          1*(<hex size>[;extension] CRLF <size bytes> CRLF) 0 CRLF *(trailer CRLF) CRLF     (RFC 9112, 7.1)

httptools could do it too, but it swallows the first raw bytes of a hijacked connection together with the body.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Protocol

LINE_LIMIT = 4096
"""Bytes of one chunk header, as in Go."""
TRAILER_LIMIT = 16384
CHUNK_LIMIT = 1 << 62

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")


class BadFraming(ValueError):
    """The body is not what its headers announced."""


class Framing(Protocol):
    """Cuts the body out of the byte stream."""

    done: bool

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The body bytes in ``data``, and what follows the body's end. Raises BadFraming."""

    def remaining(self) -> int | None:
        """Body bytes still to come; None if unknown."""


class Fixed:
    """A body of a known length."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """See Framing."""
        if len(data) < self._left:
            self._left -= len(data)
            return [data], b""
        body, rest = data[: self._left], data[self._left :]
        self._left = 0
        self.done = True
        return [body] if body else [], rest

    def remaining(self) -> int | None:
        """See Framing."""
        return self._left


class _Part(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()


class Chunked:
    """A body in the chunked transfer coding; trailers are read and dropped."""

    def __init__(self) -> None:
        self.done = False
        self._part = _Part.SIZE
        self._left = 0
        self._line = b""
        self._trailers = 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """See Framing."""
        pieces: list[bytes] = []
        position, end = 0, len(data)
        while position < end and not self.done:
            if self._part is _Part.DATA:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._part = _Part.DATA_END
            else:
                stop = data.find(b"\n", position)
                stop = end if stop < 0 else stop + 1
                self._take(data[position:stop])
                position = stop
        return pieces, data[position:] if self.done else b""

    def remaining(self) -> int | None:
        """See Framing."""
        return 0 if self.done else None

    def _take(self, text: bytes) -> None:
        """A line of the coding, or the part of it that has come."""
        line = self._line + text
        if len(line) > LINE_LIMIT:
            raise BadFraming("header line too long")
        if not line.endswith(b"\n"):
            self._line = line
            return
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise BadFraming("malformed chunked encoding")
        self._end_line(line[:-2])

    def _end_line(self, line: bytes) -> None:
        if self._part is _Part.SIZE:
            self._size(line)
        elif self._part is _Part.DATA_END:
            if line:
                raise BadFraming("malformed chunked encoding")
            self._part = _Part.SIZE
        elif not line:
            self.done = True
        else:
            self._trailers += len(line) + 2
            if self._trailers > TRAILER_LIMIT:
                raise BadFraming("trailers too long")

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadFraming("invalid byte in chunk length")
        self._left = int(match[1], 16)
        if self._left > CHUNK_LIMIT:
            raise BadFraming("http chunk length too large")
        self._part = _Part.DATA if self._left else _Part.TRAILER
