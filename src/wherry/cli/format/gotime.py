"""Times that the API writes as RFC 3339, as Go prints them."""

from __future__ import annotations


def shown(text: str) -> str:
    """2026-11-24T08:20:07.5Z as "2026-11-24 08:20:07.5 +0000 UTC"; text that is no time as it is."""
    day, found, rest = text.partition("T")
    if not found:
        return text
    if rest.endswith("Z"):
        return f"{day} {_clock(rest[:-1])} +0000 UTC"
    for sign in ("+", "-"):
        clock, found, offset = rest.rpartition(sign)
        if found:
            zone = f"{sign}{offset.replace(':', '')}"
            return f"{day} {_clock(clock)} {zone} {'UTC' if zone == '+0000' else zone}"
    return text


def _clock(text: str) -> str:
    whole, found, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if found and fraction else whole
