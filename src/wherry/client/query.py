"""Percent-encoding of paths and queries, as ``urllib.parse`` does it, without its 10 ms of imports."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def quote(text: str, also: bytes = b"") -> str:
    """Encode every byte that is not unreserved (or in ``also``)."""
    if text.isascii() and text.isalnum():
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _PLAIN or byte in also else f"%{byte:02X}" for byte in raw)


def urlencode(values: Mapping[str, str | Iterable[str]]) -> str:
    """``k=v&k=w`` in the order given; a list repeats its key."""
    listed = ((key, (value,) if isinstance(value, str) else value) for key, value in values.items())
    return "&".join(f"{quote(key)}={quote(one)}" for key, several in listed for one in several)
