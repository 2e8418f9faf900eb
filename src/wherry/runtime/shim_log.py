r"""The json-file log of a container, byte for byte as Docker writes it. Imports os, time.

    {"log":"a line\n","stream":"stdout","attrs":{"k":"v"},"time":"2024-05-06T07:08:09.12345Z"}

A line beyond 16 KiB is written in pieces without a newline, all with the time of the first. When the file has reached
``max_size`` it is turned over before the next line, see ``shim_rotation``. A line that the disk has no room for is lost
whole: what is on disk stays readable (R12), and the container goes on.
"""

from __future__ import annotations

import os
import time

from wherry.runtime import compact_json
from wherry.runtime.shim_rotation import FLAGS, MODE, Rotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIECE = 16 * 1024

# Bytes that stand for themselves between the quotes.
_PLAIN = bytes(byte for byte in range(0x20, 0x80) if byte not in b'"\\<>&')
# What Docker's encoder writes otherwise; \t and other control characters by number.
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x20), *b"<>&", 0x2028, 0x2029)} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}


def quote(data: bytes) -> bytes:
    """``data`` as a JSON string, without the quotes. Each invalid byte becomes U+FFFD."""
    if not data.translate(None, _PLAIN):
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = _decode(data)
    return text.translate(_ESCAPES).encode()


def _decode(data: bytes) -> str:
    """UTF-8 with one U+FFFD per invalid byte, as Go does; Python's "replace" has one per invalid sequence."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in text)


class Clock:
    """The present time as RFC 3339 with nanoseconds and without trailing zeros, the second's text kept."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> bytes:
        """As Docker's RFC3339Nano, UTC."""
        second, nanos = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            moment = time.gmtime(second)
            self._second = second
            self._text = (
                f"{moment.tm_year:04}-{moment.tm_mon:02}-{moment.tm_mday:02}"
                f"T{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
            )
        fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
        return f"{self._text}{fraction}Z".encode()


class Lines:
    """One stream cut into log messages."""

    __slots__ = ("_buffer", "_first", "_suffix")

    def __init__(self, stream: str, attrs: dict[str, str]) -> None:
        self._buffer = b""
        self._first = b""
        extra = b'","attrs":' + compact_json.dumps(attrs) if attrs else b'"'
        self._suffix = b'","stream":"' + stream.encode() + extra + b',"time":"'

    def feed(self, data: bytes, now: bytes) -> list[bytes]:
        """The log lines that ``data`` completes; the rest waits for more."""
        pieces = (self._buffer + data).split(b"\n")
        rest = pieces.pop()
        lines: list[bytes] = []
        for piece in pieces:
            tail = self._cut(piece, now, lines) if len(piece) >= PIECE else piece
            lines.append(self._line(tail, b"\\n", now))
            self._first = b""
        self._buffer = self._cut(rest, now, lines) if len(rest) >= PIECE else rest
        return lines

    def flush(self, now: bytes) -> list[bytes]:
        """What an ended stream leaves: a last line without its newline."""
        rest, self._buffer = self._buffer, b""
        return [self._line(rest, b"", now)] if rest else []

    def _cut(self, piece: bytes, now: bytes, lines: list[bytes]) -> bytes:
        """Take full pieces off an overlong line; what remains."""
        while len(piece) >= PIECE:
            self._first = self._first or now
            lines.append(self._line(piece[:PIECE], b"", now))
            piece = piece[PIECE:]
        return piece

    def _line(self, text: bytes, newline: bytes, now: bytes) -> bytes:
        return b'{"log":"' + quote(text) + newline + self._suffix + (self._first or now) + b'"}\n'


class JsonLogFile:
    """The file. Its methods never raise for want of space or a failing disk."""

    def __init__(self, options: dict[str, Any]) -> None:
        attrs = dict(options["attrs"])
        self._clock = Clock()
        self._streams = {1: Lines("stdout", attrs), 2: Lines("stderr", attrs)}
        self._rotation = Rotation(options)
        self._fd = os.open(options["path"], FLAGS, MODE)

    def write(self, stream: int, data: bytes) -> None:
        """Log what the program wrote on ``stream`` (1 stdout, 2 stderr)."""
        self._append(self._streams[stream].feed(data, self._clock.now()))

    def finish(self, stream: int) -> None:
        """``stream`` has ended."""
        self._append(self._streams[stream].flush(self._clock.now()))

    @property
    def busy(self) -> bool:
        """Whether ``step`` has work to do."""
        return self._rotation.busy

    def step(self) -> None:
        """Compress a little more of the file that was turned over last."""
        self._rotation.step()

    def close(self) -> None:
        """Finish what is under way."""
        self._rotation.close()
        os.close(self._fd)

    def _append(self, lines: list[bytes]) -> None:
        """Write whole lines, as many at a time as the size limit allows."""
        if not lines:
            return
        try:
            size = os.fstat(self._fd).st_size
            start = 0
            for end, line in enumerate(lines):
                if self._rotation.due(size):
                    self._write(b"".join(lines[start:end]))
                    self._fd = self._rotation.turn(self._fd, size)
                    start, size = end, os.fstat(self._fd).st_size
                size += len(line)
            self._write(b"".join(lines[start:]))
        except OSError:
            return  # no space, or a failing disk: the lines are lost, the container is not

    def _write(self, data: bytes) -> None:
        if not data:
            return
        size = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, data)
            if written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            # Half a line on the disk would spoil the next one too.
            os.ftruncate(self._fd, size)
            raise
