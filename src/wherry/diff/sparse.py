"""Maps of sparse files: GNU's old form in and after the header, and the three pax forms (0.0, 0.1, 1.0)."""

from __future__ import annotations

from typing import Protocol

from wherry.diff.errors import BadArchive

Segments = tuple[tuple[int, int], ...]
"""(offset, length) of every stored part, in order."""

MAP_MAX = 65536
"""Segments a map may have."""


class NextBlock(Protocol):
    """Gives one more block of the map."""

    def __call__(self, *, counted: bool) -> bytes:
        """512 bytes; ``counted`` when the entry's size includes them."""


def is_sparse_pax(pax: dict[bytes, bytes]) -> bool:
    """Whether pax records describe a sparse file."""
    return b"GNU.sparse.map" in pax or b"GNU.sparse.major" in pax


def old_gnu_map(header: bytes, next_block: NextBlock) -> Segments:
    """The map of a header of type ``S``: four segments in it, 21 in each block that follows."""
    found = _old_gnu_segments(header[386:482])
    more = header[482]
    while more:
        block = next_block(counted=False)
        found += _old_gnu_segments(block[:504])
        more = block[504]
        if len(found) > MAP_MAX:
            raise BadArchive
    return tuple(found)


def _old_gnu_segments(data: bytes) -> list[tuple[int, int]]:
    found = []
    for at in range(0, len(data), 24):
        if not data[at]:
            break
        found.append((_field(data[at : at + 12]), _field(data[at + 12 : at + 24])))
    return found


def _field(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << 63) - 1)
    digits = field.strip(b"\0 ")
    if not digits:
        return 0
    try:
        return int(digits, 8) if digits.isdigit() else _bad()
    except ValueError:
        return _bad()


def pax_map(pax: dict[bytes, bytes], next_block: NextBlock) -> tuple[int, Segments]:
    """Real size and map of a pax sparse file. Raises BadArchive."""
    if (pax.get(b"GNU.sparse.major"), pax.get(b"GNU.sparse.minor")) == (b"1", b"0"):
        size = _decimal(pax.get(b"GNU.sparse.realsize", pax.get(b"GNU.sparse.size", b"")))
        return size, _map_in_data(next_block)
    size = _decimal(pax.get(b"GNU.sparse.size", pax.get(b"GNU.sparse.realsize", b"")))
    text = pax.get(b"GNU.sparse.map", b"")
    numbers = [_decimal(part) for part in text.split(b",")] if text else []
    return size, _paired(numbers)


def _map_in_data(next_block: NextBlock) -> Segments:
    """Format 1.0: decimal lines in front of the data, count first, padded to a block."""
    buffer = b""

    def line() -> int:
        nonlocal buffer
        while b"\n" not in buffer:
            if len(buffer) > 512:
                raise BadArchive
            buffer += next_block(counted=True)
        text, _, buffer = buffer.partition(b"\n")
        return _decimal(text)

    count = line()
    if count > MAP_MAX:
        raise BadArchive
    return _paired([line() for _ in range(2 * count)])


def _paired(numbers: list[int]) -> Segments:
    if len(numbers) % 2 or len(numbers) > 2 * MAP_MAX:
        raise BadArchive
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        _bad()
    return int(text)


def _bad() -> int:
    raise BadArchive
