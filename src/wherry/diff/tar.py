"""Reading tar: ustar, pax, GNU long names, GNU sparse files of all four kinds, base-256 numbers, V7.

Written for layers: names stay bytes, the reader goes forward only, and everything that a header may claim is bounded.
Python's tarfile is a fifth as fast and decodes names. Order of the fields: POSIX.1-1988 ustar,

    name 0+100  mode 100+8  uid 108+8  gid 116+8  size 124+12  mtime 136+12  chksum 148+8  typeflag 156
    linkname 157+100  magic 257+6  version 263+2  uname 265+32  gname 297+32
    devmajor 329+8  devminor 337+8  prefix 345+155
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from wherry.diff.errors import BadArchive, Truncated
from wherry.diff.source import Source
from wherry.diff.sparse import Segments, is_sparse_pax, old_gnu_map, pax_map

BLOCK = 512
SPECIAL_MAX = 1024 * 1024
"""Bytes in a pax header or a GNU long name, as in Go's reader."""
SIZE_MAX = 1 << 43
"""Bytes a single file may claim: 8 TiB."""

REGULAR, LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_HEADER_ONLY = frozenset({LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO})
_REGULAR_KINDS = frozenset({b"0", b"\0", b"7", b"S"})
_ZEROS = bytes(BLOCK)
_XATTR = b"SCHILY.xattr."


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One member. ``kind`` is the type flag, with all kinds of regular file as "0"."""

    name: bytes
    kind: bytes
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    """Bytes of the file; what the archive stores may be less (sparse)."""
    mtime_ns: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: dict[bytes, bytes] = msgspec.field(default_factory=dict)
    segments: Segments | None = None
    """Of a sparse file: where the stored bytes go, as (offset, length)."""
    stored: int = 0
    """Bytes that follow in the archive."""


class TarReader:
    """The members of one archive, in order: take an entry, then its data if wanted, then the next entry."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self.next()) is not None:
            yield entry

    def read(self, limit: int) -> bytes:
        """The data of the current entry. Raises BadArchive when it is longer than ``limit`` bytes."""
        if self._left > limit:
            raise BadArchive(f"{self._left} bytes are more than the limit of {limit}")
        data = self.source.exactly(self._left)
        self._left = 0
        return data

    def small(self) -> bytes | None:
        """All that is left of the current entry's data if it has been read already, else None: then use ``data``."""
        piece = self.source.held(self._left)
        if piece is not None:
            self._left = 0
        return piece

    def data(self, count: int | None = None) -> Iterator[memoryview]:
        """The next ``count`` bytes of the current entry's data (all that is left), piece by piece. Raises Truncated."""
        want = self._left if count is None else count
        if want > self._left:
            raise BadArchive
        self._left -= want
        yield from self.source.pieces(want)

    def next(self) -> Entry | None:
        """The next entry, None at the end. Raises BadArchive, Truncated."""
        pax: dict[bytes, bytes] = {}
        long_name: bytes | None = None
        long_link: bytes | None = None
        while True:
            self._finish()
            header = self._header()
            if header is None:
                return None
            flag = header[156:157]
            if flag == b"x":
                pax = _pax_records(self._special(header))
            elif flag == b"g":
                self._special(header)  # global records: Docker ignores them too
            elif flag == b"L":
                long_name = _c_string(self._special(header))
            elif flag == b"K":
                long_link = _c_string(self._special(header))
            else:
                return self._entry(header, flag, pax, long_name, long_link)

    def _finish(self) -> None:
        if self._left:
            self.source.skip(self._left)
            self._left = 0
        if self._padding:
            # An archive may end inside the last padding; nothing is missing then.
            self.source.at_most(self._padding)
            self._padding = 0

    def _header(self) -> bytes | None:
        header = self.source.at_most(BLOCK)
        if not header:
            return None
        if len(header) < BLOCK:
            raise Truncated
        if header == _ZEROS:
            second = self.source.at_most(BLOCK)
            if second not in (b"", _ZEROS):
                raise BadArchive
            return None
        _check_sum(header)
        return header

    def _special(self, header: bytes) -> bytes:
        size = _number(header[124:136])
        if size > SPECIAL_MAX:
            raise BadArchive
        data = self.source.exactly(size)
        self._padding = -size % BLOCK
        return data

    def _entry(
        self, header: bytes, flag: bytes, pax: dict[bytes, bytes], long_name: bytes | None, long_link: bytes | None
    ) -> Entry:
        name, link = _names(header)
        stored = _number(header[124:136])
        if pax:
            name, link = pax.get(b"path", name), pax.get(b"linkpath", link)
            stored = _decimal(pax[b"size"]) if b"size" in pax else stored
        name = long_name if long_name is not None else name
        link = long_link if long_link is not None else link
        kind = REGULAR if flag in _REGULAR_KINDS else flag
        if kind == REGULAR and flag in b"\x000" and name.endswith(b"/"):
            kind = DIRECTORY
        if kind in _HEADER_ONLY:
            stored = 0
        if not 0 <= stored <= SIZE_MAX:
            raise BadArchive
        self._left, self._padding = stored, -stored % BLOCK
        size, segments = stored, None
        if flag == b"S":
            size, segments = _number(header[483:495]), old_gnu_map(header, self._sparse_block)
        elif kind == REGULAR and is_sparse_pax(pax):
            name = pax.get(b"GNU.sparse.name", name)
            size, segments = pax_map(pax, self._sparse_block)
        if segments is not None:
            _check_segments(segments, size, self._left)
        major, minor = 0, 0
        if flag in (CHARACTER, BLOCK_DEVICE):
            major, minor = _number(header[329:337]), _number(header[337:345])
        uid, gid, mtime_ns = (
            _number(header[108:116]),
            _number(header[116:124]),
            _number(header[136:148]) * 1_000_000_000,
        )
        xattrs: dict[bytes, bytes] = {}
        if pax:
            uid = _decimal(pax[b"uid"]) if b"uid" in pax else uid
            gid = _decimal(pax[b"gid"]) if b"gid" in pax else gid
            mtime_ns = _pax_time(pax[b"mtime"]) if b"mtime" in pax else mtime_ns
            xattrs = {key[len(_XATTR) :]: value for key, value in pax.items() if key.startswith(_XATTR)}
        return Entry(
            name=name,
            kind=kind,
            mode=_number(header[100:108]) & 0o7777,
            uid=uid,
            gid=gid,
            size=size,
            mtime_ns=mtime_ns,
            link=link,
            major=major,
            minor=minor,
            xattrs=xattrs,
            segments=segments,
            stored=self._left,
        )

    def _sparse_block(self, *, counted: bool) -> bytes:
        """One more block of a sparse map: of the entry's own data when ``counted``, else in front of it."""
        if counted:
            if self._left < BLOCK:
                raise BadArchive
            self._left -= BLOCK
        return self.source.exactly(BLOCK)


def _check_segments(segments: Segments, size: int, stored: int) -> None:
    end = total = 0
    for offset, length in segments:
        if offset < end or length < 0:
            raise BadArchive
        end = offset + length
        total += length
    if size > SIZE_MAX or end > size or total != stored:
        raise BadArchive


def _names(header: bytes) -> tuple[bytes, bytes]:
    name, link = _c_string(header[0:100]), _c_string(header[157:257])
    # Only POSIX ustar has a prefix; GNU ("ustar  \0") keeps times and sparse maps there.
    if header[257:265] == b"ustar\x0000" and header[345]:
        return _c_string(header[345:500]) + b"/" + name, link
    return name, link


def _check_sum(header: bytes) -> None:
    claimed = _number(header[148:156])
    # Adler-32's low half is one more than the sum of the bytes, modulo 65521: ten times as fast as adding them up here.
    if ((zlib.adler32(header) & 0xFFFF) - 1 - sum(header[148:156]) + 8 * 32 - claimed) % 65521 == 0:
        return
    rest = header[:148] + b"        " + header[156:]
    if sum(rest) != claimed and sum(rest) - 256 * sum(byte > 127 for byte in rest) != claimed:
        raise BadArchive


@lru_cache(maxsize=4096)
def _number(field: bytes) -> int:
    """An octal number, or a base-256 one (GNU) when the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        if not -(1 << 63) <= value < (1 << 63):
            raise BadArchive
        return value
    digits = field.strip(b"\0 ").partition(b"\0")[0].rstrip()
    if not digits:
        return 0
    if not digits.isdigit():
        raise BadArchive
    try:
        return int(digits, 8)
    except ValueError:
        raise BadArchive from None


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise BadArchive
    return int(text)


def _pax_time(text: bytes) -> int:
    whole, _, fraction = text.partition(b".")
    negative = whole.startswith(b"-")
    digits = whole.lstrip(b"-")
    if not digits.isdigit() or len(digits) > 18 or (fraction and not fraction.isdigit()):
        raise BadArchive
    nanos = int(digits) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or b"0")
    return -nanos if negative else nanos


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """``length SP key = value LF``, over and over. An empty value takes the record back."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        if space < 0 or not data[at:space].isdigit():
            raise BadArchive
        end = at + int(data[at:space])
        if end > len(data) or end <= space + 1 or data[end - 1 : end] != b"\n":
            raise BadArchive
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise BadArchive
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            # Format 0.0 repeats these two; they are gathered as format 0.1 has them.
            joined = records.get(b"GNU.sparse.map")
            records[b"GNU.sparse.map"] = value if joined is None else joined + b"," + value
        elif value or key.startswith(_XATTR):
            if b"\0" in value and not key.startswith(_XATTR):
                raise BadArchive
            records[key] = value
        else:
            records.pop(key, None)
        at = end
    return records


def _c_string(field: bytes) -> bytes:
    return field.partition(b"\0")[0]
