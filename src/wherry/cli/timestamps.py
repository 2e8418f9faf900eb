"""``--since`` and ``--until``: a duration back from now, a date, or seconds since 1970, as docker reads them."""

from __future__ import annotations

import time

from wherry.cli.values import duration

_LAYOUTS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def timestamp(text: str, now: float | None = None) -> str:
    """Seconds, with a fraction if one was written. Raises ``ValueError`` with docker's words."""
    now = time.time() if now is None else now
    if text != "0":
        try:
            return str(int(now - duration(text) / 1e9))
        except ValueError:
            pass
    moment = _date(text)
    if moment is not None:
        return moment
    if "-" in text:
        raise ValueError(f'parsing time "{text}" as "2006-01-02": cannot parse "{text}" as "2006"')
    whole, _, fraction = text.partition(".")
    if not _is_whole(whole) or (fraction and not _is_whole(fraction)):
        raise ValueError(f'failed to parse value as time or duration: "{text}"')
    return text


def _is_whole(text: str) -> bool:
    digits = text[1:] if text[:1] in {"+", "-"} else text
    return digits.isascii() and digits.isdigit()


def _date(text: str) -> str | None:
    """A date with or without time and zone; without a zone it is local time."""
    body, offset = _zone(text)
    body, _, fraction = body.partition(".")
    if fraction and not (fraction.isdigit() and len(fraction) <= 9):
        return None
    for layout in _LAYOUTS:
        try:
            parsed = time.strptime(body, layout)
        except ValueError:
            continue
        if offset is None:
            seconds = int(time.mktime(parsed))
        else:
            import calendar

            seconds = calendar.timegm(parsed) - offset
        return f"{seconds}.{fraction:0<9}"
    return None


def _zone(text: str) -> tuple[str, int | None]:
    """Split off Z or +hh:mm; None is local time."""
    if text.endswith(("Z", "z")):
        return text[:-1], 0
    head, sign, tail = text[:10], text[-6:-5], text[-5:]
    if len(text) > len(head) and sign in {"+", "-"} and tail[2:3] == ":" and (tail[:2] + tail[3:]).isdigit():
        offset = int(tail[:2]) * 3600 + int(tail[3:]) * 60
        return text[:-6], -offset if sign == "-" else offset
    return text, None
