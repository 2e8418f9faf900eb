"""One entry of a json-file log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from wherry.lib.clock import parse_rfc3339

_START = b'{"log":'


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a container printed, with its line feed. A very long one comes in pieces; only the last has it."""

    stream: str
    """``stdout`` or ``stderr``."""
    time_ns: int
    text: bytes
    attrs: Mapping[str, str] | None = None
    """What the log options ``labels``, ``env`` and ``tag`` add (``docker logs --details``)."""


class _Entry(msgspec.Struct):
    log: str = ""
    stream: str = ""
    time: str = ""
    attrs: dict[str, str] | None = None


_DECODER = msgspec.json.Decoder(_Entry)


def parse_line(raw: bytes) -> LogLine | None:
    """The entry in ``raw`` (a line of the file without its line feed); None if there is none.

    When a writer died in the middle of a line, the next entry follows on the torn one: it is found, because an entry's
    opening cannot occur inside a JSON string. Bytes that are not UTF-8 become U+FFFD.
    """
    entry = _decode(raw) or _decode(raw.decode("utf-8", "replace").encode())
    if entry is None:
        start = raw.rfind(_START, 1)
        return parse_line(raw[start:]) if start > 0 else None
    try:
        return LogLine(entry.stream, _instant(entry.time), entry.log.encode(), entry.attrs)
    except ValueError:
        return None


def _decode(raw: bytes) -> _Entry | None:
    try:
        return _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _instant(text: str) -> int:
    """Nanoseconds since the epoch; the date and clock part repeats from line to line, so it is parsed once."""
    if text[19:20] == "." and text[-1] == "Z" and len(text) <= 30 and text[20:-1].isdigit():
        return _second(text[:19]) + int(text[20:-1].ljust(9, "0"))
    return parse_rfc3339(text)


@lru_cache(maxsize=16)
def _second(text: str) -> int:
    return parse_rfc3339(text)
