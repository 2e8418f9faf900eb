r"""The json-file log of a container, byte for byte as Docker writes it. Imports errno, os, time.

    {"log":"a line\n","stream":"stdout","attrs":{"k":"v"},"time":"2024-05-06T07:08:09.12345Z"}

A line beyond 16 KiB is written in pieces without a newline, all with the time of the first. The file is rotated when
it has reached ``max_size``, before the next line: ``x.log`` → ``x.log.1`` → ``x.log.2`` …, with ``.gz`` when they are
compressed. A line that the disk has no room for is lost whole: what is on disk stays readable (R12), and the container
goes on.
"""

from __future__ import annotations

import errno
import os
import time

from wherry.runtime import compact_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

PIECE = 16 * 1024
_GZIP_STEP = 256 * 1024

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
        self._path: str = options["path"]
        self._max_size: int = options["max_size"]
        self._max_files: int = options["max_files"]
        self._compress: bool = options["compress"]
        attrs = dict(options["attrs"])
        self._clock = Clock()
        self._streams = {1: Lines("stdout", attrs), 2: Lines("stderr", attrs)}
        self._compressing: Iterator[None] | None = None
        self._open()

    def write(self, stream: int, data: bytes) -> None:
        """Log what the program wrote on ``stream`` (1 stdout, 2 stderr)."""
        self._append(self._streams[stream].feed(data, self._clock.now()))

    def finish(self, stream: int) -> None:
        """``stream`` has ended."""
        self._append(self._streams[stream].flush(self._clock.now()))

    @property
    def busy(self) -> bool:
        """Whether ``step`` has work to do."""
        return self._compressing is not None

    def step(self) -> None:
        """Compress a little more of the file that was rotated last."""
        if self._compressing is not None:
            try:
                next(self._compressing)
            except (StopIteration, OSError):
                self._compressing = None

    def close(self) -> None:
        """Finish what is under way."""
        while self.busy:
            self.step()
        os.close(self._fd)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o640)

    def _append(self, lines: list[bytes]) -> None:
        """Write whole lines, as many at a time as the size limit allows."""
        if not lines:
            return
        try:
            size = os.fstat(self._fd).st_size
            start = 0
            for end, line in enumerate(lines):
                if 0 <= self._max_size <= size:
                    self._write(b"".join(lines[start:end]))
                    start, size = end, self._rotate(size)
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

    def _rotate(self, size: int) -> int:
        """Start a new file; the size that it has."""
        while self.busy:
            self.step()
        if self._max_files < 2:
            os.ftruncate(self._fd, 0)
            return 0
        suffix = ".gz" if self._compress else ""
        try:
            for number in range(self._max_files - 1, 1, -1):
                _rename(f"{self._path}.{number - 1}{suffix}", f"{self._path}.{number}{suffix}")
            os.rename(self._path, f"{self._path}.1")
        except OSError:
            return size  # better a log too long than none
        rotated = self._fd
        self._open()
        os.close(rotated)
        if self._compress:
            self._compressing = compress(f"{self._path}.1")
        return 0


def compress(path: str) -> Iterator[None]:
    """Replace ``path`` by ``path.gz``, a step per iteration: the shim has no thread, and may not fork any more."""
    import zlib  # noqa: PLC0415  most logs are never compressed; the shim itself never leaves the host's root

    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    staged = f"{path}.gz.tmp"
    source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        target = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            while chunk := os.read(source, _GZIP_STEP):
                _write_all(target, packer.compress(chunk))
                yield
            _write_all(target, packer.flush())
        finally:
            os.close(target)
    finally:
        os.close(source)
    os.rename(staged, f"{path}.gz")
    os.unlink(path)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _rename(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
