"""Small texts as Go and Docker write them: ids, quotes, dots, times, natural order."""

from __future__ import annotations

import time

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def short_id(identity: str) -> str:
    """The first twelve digits, without the algorithm."""
    return identity.partition(":")[2][:12] if ":" in identity else identity[:12]


def quote(text: str) -> str:
    """As strconv.Quote: in double quotes, what cannot be printed escaped."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_quoted(character) for character in text) + '"'


def _quoted(character: str) -> str:
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    code = ord(character)
    if character.isprintable() or character == " ":
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Columns on a terminal: East Asian characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) != 0 for character in text)


def ellipsis(text: str, limit: int) -> str:
    """At most ``limit`` columns, the last of them three dots in one if something is left out."""
    if limit <= 0:
        return ""
    if width(text) <= limit:
        return text
    if limit == 1:
        return text[0]
    kept, used = [], 0
    for character in text:
        used += width(character)
        if used > limit - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def local_time(seconds: int, nanoseconds: int = 0) -> str:
    """As Go prints a time: 2006-01-02 15:04:05.5 -0700 MST."""
    local = time.localtime(seconds)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return time.strftime(f"%Y-%m-%d %H:%M:%S{fraction} %z %Z", local)


def rfc3339(seconds: int, nanoseconds: int | None = None) -> str:
    """Local time with its offset; nanoseconds, if given, always with nine digits."""
    local = time.localtime(seconds)
    offset = local.tm_gmtoff // 60
    zone = "Z" if offset == 0 else f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    fraction = "" if nanoseconds is None else f".{nanoseconds:09d}"
    return time.strftime(f"%Y-%m-%dT%H:%M:%S{fraction}", local) + zone


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key that orders numbers in names by value: a2 before a10."""
    parts: list[tuple[int, int, str]] = []
    run = ""
    for character in text:
        if run and character.isdecimal() != run[0].isdecimal():
            parts.append(_chunk(run))
            run = ""
        run += character
    return [*parts, _chunk(run)] if run else parts


def _chunk(run: str) -> tuple[int, int, str]:
    return (0, int(run), run) if run[0].isdecimal() else (1, 0, run)
