"""Writing tar: ustar where it fits, a pax header in front where it does not. The same entries give the same bytes."""

from __future__ import annotations

from wherry.diff.tar import BLOCK, BLOCK_DEVICE, CHARACTER, DIRECTORY, REGULAR, Entry

END = bytes(2 * BLOCK)
_OCTAL_8 = 0o7777777
_OCTAL_12 = 0o77777777777
_XATTR = b"SCHILY.xattr."


def header(entry: Entry) -> bytes:
    """The header blocks of ``entry``; its data and ``padding`` follow. Owners' names are left out."""
    pax: dict[bytes, bytes] = {_XATTR + key: value for key, value in sorted(entry.xattrs.items())}
    name = entry.name + b"/" if entry.kind == DIRECTORY and not entry.name.endswith(b"/") else entry.name
    prefix, short = _split(name)
    if short is None or not name.isascii():
        pax[b"path"], prefix, short = name, b"", name[:100]
    if len(entry.link) > 100 or not entry.link.isascii():
        pax[b"linkpath"] = entry.link
    for key, value, limit in (
        (b"uid", entry.uid, _OCTAL_8),
        (b"gid", entry.gid, _OCTAL_8),
        (b"size", entry.size, _OCTAL_12),
    ):
        if value > limit:
            pax[key] = str(value).encode()
    seconds, nanos = divmod(entry.mtime_ns, 1_000_000_000)
    if nanos or not 0 <= seconds <= _OCTAL_12:
        pax[b"mtime"] = _pax_time(entry.mtime_ns)
    block = _ustar(entry, prefix, short, seconds if 0 <= seconds <= _OCTAL_12 else 0)
    return _pax_header(pax) + block if pax else block


def padding(size: int) -> bytes:
    """What fills the last block of ``size`` bytes of data."""
    return bytes(-size % BLOCK)


def _ustar(entry: Entry, prefix: bytes, name: bytes, seconds: int) -> bytes:
    device = entry.kind in (CHARACTER, BLOCK_DEVICE)
    fields = (
        name.ljust(100, b"\0"),
        _octal(entry.mode & 0o7777, 8),
        _octal(entry.uid if entry.uid <= _OCTAL_8 else 0, 8),
        _octal(entry.gid if entry.gid <= _OCTAL_8 else 0, 8),
        _octal(entry.size if entry.kind == REGULAR and entry.size <= _OCTAL_12 else 0, 12),
        _octal(seconds, 12),
        b"        ",
        entry.kind,
        (entry.link if entry.link.isascii() else b"")[:100].ljust(100, b"\0"),
        b"ustar\x0000",
        bytes(64),
        _octal(entry.major if device else 0, 8),
        _octal(entry.minor if device else 0, 8),
        prefix.ljust(155, b"\0"),
        bytes(12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Prefix and name as ustar has them; None when they do not fit."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, min(156, len(name) - 1))
    if cut <= 0 or len(name) - cut - 1 > 100:
        return b"", None
    return name[:cut], name[cut + 1 :]


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def _pax_header(records: dict[bytes, bytes]) -> bytes:
    data = b"".join(_pax_record(key, value) for key, value in sorted(records.items()))
    entry = Entry(name=b"PaxHeaders.0/entry", kind=b"x", mode=0o644, size=len(data))
    block = _ustar(entry, b"", entry.name, 0)
    block = block[:124] + _octal(len(data), 12) + block[136:148] + b"        " + block[156:]
    block = block[:148] + b"%06o\0 " % sum(block) + block[156:]
    return block + data + padding(len(data))


def _pax_record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _pax_time(instant: int) -> bytes:
    sign = "-" if instant < 0 else ""
    seconds, nanos = divmod(abs(instant), 1_000_000_000)
    return f"{sign}{seconds}.{nanos:09d}".rstrip("0").rstrip(".").encode()
