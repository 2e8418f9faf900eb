"""Layers are unpacked whatever packed them, and bounded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import pytest
import zstandard

from wherry.diff.compression import Unpacked
from wherry.diff.errors import BadArchive

DATA = bytes(range(256)) * 5000
PACKED = {
    "gzip": gzip.compress(DATA),
    "zstd": zstandard.compress(DATA),
    "bzip2": bz2.compress(DATA),
    "xz": lzma.compress(DATA),
    "": DATA,
}


def unpacked(data: bytes, piece: int = 1 << 16) -> bytes:
    stream = Unpacked(io.BytesIO(data))
    out = b""
    while part := stream.read(piece):
        assert len(part) <= piece
        out += part
    return out


@pytest.mark.parametrize("kind", PACKED)
def test_the_first_bytes_tell(kind: str) -> None:
    assert Unpacked(io.BytesIO(PACKED[kind])).compression == kind
    assert unpacked(PACKED[kind]) == DATA


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_several_streams_in_a_row_are_one(kind: str) -> None:
    assert unpacked(PACKED[kind] * 2) == DATA * 2


def test_short_and_empty_streams() -> None:
    assert unpacked(b"") == b""
    assert unpacked(b"\x1f") == b"\x1f"


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_cut_stream_is_an_error(kind: str) -> None:
    with pytest.raises(BadArchive):
        unpacked(PACKED[kind][:-5])


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz"])
def test_a_damaged_stream_is_an_error(kind: str) -> None:
    damaged = bytearray(PACKED[kind])
    damaged[12:200] = b"\xff" * 188
    with pytest.raises(BadArchive):
        unpacked(bytes(damaged))


def test_a_huge_window_is_refused() -> None:
    """zstd's long mode would take 2 GiB of memory."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=28, write_content_size=False)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(BadArchive):
        unpacked(packed.compress(DATA) + packed.flush())
