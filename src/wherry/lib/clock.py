"""Time as Docker writes it: RFC 3339 with nanoseconds, in UTC. Instants are integers, ns since the epoch."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

ZERO = "0001-01-01T00:00:00Z"
"""Go's zero time: what Docker shows for "never"."""

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?")


def now_ns() -> int:
    """The present instant in nanoseconds since the epoch."""
    return time.time_ns()


def rfc3339(instant: int) -> str:
    """``instant`` (ns) as RFC 3339 with Go's RFC3339Nano rule: trailing zeros of the fraction go. 0 is "never"."""
    if instant == 0:
        return ZERO
    seconds, nanos = divmod(instant, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{stamp}{fraction}Z"


def rfc3339_fixed(instant: int) -> str:
    """``instant`` (ns) as RFC 3339 with all nine digits of the fraction, as ``docker logs -t`` prints."""
    seconds, nanos = divmod(instant, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{nanos:09d}Z"


def parse_rfc3339(text: str) -> int:
    """The instant (ns) that an RFC 3339 text names; a missing zone means UTC. Raises ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    date, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if zone in (None, 'Z') else zone}")
    if moment.year == 1:
        return 0
    return int(moment.timestamp()) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def parse_timestamp(text: str) -> int:
    """The instant (ns) of the API's ``since``/``until``: seconds with an optional fraction, or RFC 3339.

    An empty text is 0. Raises ValueError.
    """
    if not text:
        return 0
    if re.fullmatch(r"-?\d+(\.\d*)?", text):
        whole, _, fraction = text.partition(".")
        return int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)
    return parse_rfc3339(text)
