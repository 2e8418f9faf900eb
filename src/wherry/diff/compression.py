"""How a layer is packed, told by its first bytes, and read unpacked.

gzip by isal, zstd by zstandard, bzip2 and xz by Python.

Output comes in bounded pieces whatever the ratio, and a zstd window is bounded too, so a bomb costs no memory. Nor much
disk: past ``FREE_BYTES`` a stream that unpacks to more than ``RATIO_MAX`` times its own size is refused. Programs and
texts pack to a third or a twentieth; only a stream of little else than zeros passes two hundred.
"""

from __future__ import annotations

import bz2
import io
import lzma
from typing import Any, Final, Protocol

import zstandard
from isal import igzip, isal_zlib

from wherry.diff.errors import BadArchive, Truncated

CHUNK = 1024 * 1024
WINDOW_MAX = 128 * 1024 * 1024
MEMORY_MAX = 256 * 1024 * 1024
FREE_BYTES = 4 * 1024 * 1024 * 1024
"""Bytes that any stream may unpack to, however small it is."""
RATIO_MAX = 200

GZIP, ZSTD, BZIP2, XZ, PLAIN = "gzip", "zstd", "bzip2", "xz", ""
_MAGIC = ((b"\x1f\x8b\x08", GZIP), (b"\x28\xb5\x2f\xfd", ZSTD), (b"BZh", BZIP2), (b"\xfd7zXZ\0", XZ))
MAGIC_SIZE = 10
_FAULTS: Final[Any] = (igzip.BadGzipFile, isal_zlib.error, zstandard.ZstdError, lzma.LZMAError)


class Readable(Protocol):
    """Something with ``read``."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, empty at the end."""


def detect(start: bytes) -> str:
    """How a stream that begins with ``start`` is packed; PLAIN when it is not, or not in a way known here."""
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    if len(start) >= 4 and start[1:4] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50:
        return ZSTD  # a skippable frame in front
    return PLAIN


class Unpacked:
    """A packed or plain stream, unpacked. ``compression`` says how it was."""

    def __init__(self, raw: Readable) -> None:
        self._raw = _Raw(raw)
        self._unpacked = 0
        buffered: io.BufferedReader[Any] = io.BufferedReader(self._raw, CHUNK)
        self.compression = detect(buffered.peek(MAGIC_SIZE)[:MAGIC_SIZE])
        self._stream = _open(self.compression, buffered)

    def read(self, size: int = CHUNK, /) -> bytes:
        """At most ``size`` bytes, empty at the end. Raises BadArchive, Truncated, and what the raw stream raises."""
        try:
            data = self._stream.read(size)
        except EOFError:
            raise Truncated from None
        except _FAULTS as error:
            raise BadArchive(f"{self.compression}: {error}") from None
        self._unpacked += len(data)
        if self._unpacked > FREE_BYTES and self._unpacked > RATIO_MAX * self._raw.taken:
            raise BadArchive(f"{self.compression}: unpacks to more than {RATIO_MAX} times its size")
        return data


def _open(compression: str, raw: io.BufferedReader[Any]) -> Readable:
    if compression == GZIP:
        gzip: Readable = igzip.IGzipFile(fileobj=raw, mode="rb")  # type: ignore[no-untyped-call]  # isal has no types
        return gzip
    if compression == ZSTD:
        return zstandard.ZstdDecompressor(max_window_size=WINDOW_MAX).stream_reader(raw, read_across_frames=True)
    if compression == BZIP2:
        return bz2.BZ2File(raw)
    if compression == XZ:
        return _Xz(raw)
    return raw


class _Raw(io.RawIOBase):
    """``Readable`` as Python's buffered reader wants it."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.taken = 0
        """Bytes so far."""

    def readable(self) -> bool:
        return True

    def readinto(self, target: object) -> int:
        view = memoryview(target)  # type: ignore[arg-type]  # a writable buffer, by the protocol of RawIOBase
        data = self._source.read(len(view))
        view[: len(data)] = data
        self.taken += len(data)
        return len(data)


class _Xz:
    """xz with a memory limit, which LZMAFile does not offer."""

    def __init__(self, raw: io.BufferedReader[Any]) -> None:
        self._raw = raw
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_MAX)

    def read(self, size: int, /) -> bytes:
        while True:
            if self._decoder.eof:
                rest = self._decoder.unused_data or self._raw.read(CHUNK)
                if not rest.strip(b"\0"):
                    return b""
                self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_MAX)
            else:
                rest = self._raw.read(CHUNK // 16) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not rest:
                    raise EOFError
            if data := self._decoder.decompress(rest, size):
                return data
