"""Spans of time as Go writes them, and the filters that every prune has: ``until``, ``label`` and ``label!``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wherry.lib.clock import now_ns, parse_timestamp
from wherry.lib.errors import Internal, InvalidArgument
from wherry.lib.filters import Filters

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SHORT_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d))?)?(Z|[+-]\d\d:\d\d)?")
"""A time whose seconds, minutes or hours are left out."""
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_duration(text: str) -> int:
    """A Go duration (``1h30m``) in ns. Raises ValueError."""
    if text == "0":
        return 0
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("+", "-") else text
    if not rest:
        raise ValueError(f"not a duration: {text!r}")
    total, position = 0.0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None:
            raise ValueError(f"not a duration: {text!r}")
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    return sign * int(total)


def until_ns(filters: Filters) -> int | None:
    """The instant of the ``until`` filter: a timestamp, or so long ago. Raises Internal and InvalidArgument."""
    values = filters.get("until")
    if not values:
        return None
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    try:
        return now_ns() - parse_duration(values[0])
    except ValueError:
        pass
    try:
        return parse_timestamp(_whole(values[0]))
    except ValueError:
        # Docker answers 500 here.
        raise Internal(f'failed to parse value as time or duration: "{values[0]}"') from None


def _whole(text: str) -> str:
    """A time with what was left out of it at its end."""
    short = _SHORT_TIME.fullmatch(text)
    if short is None:
        return text
    date, hours, minutes, zone = short.groups()
    return f"{date}T{hours or '00'}:{minutes or '00'}:00{zone or ''}"


def labels_match(filters: Filters, labels: Mapping[str, str]) -> bool:
    """Whether a prune's filters let ``labels`` through: ``label!`` excludes what has all the labels that it names."""
    return filters.labels(labels) and not (filters.get("label!") and filters.labels(labels, "label!"))
