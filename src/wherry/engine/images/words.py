"""Small languages of the image filters: Go's path patterns, and instants as ``until`` takes them."""

from __future__ import annotations

import re

from wherry.lib.clock import now_ns, parse_timestamp
from wherry.lib.errors import Internal, InvalidArgument
from wherry.lib.filters import Filters, label_matches
from wherry.oci.reference import Reference

_DURATION = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_duration(text: str) -> int:
    """A Go duration (``1h30m``) in ns. Raises ValueError."""
    if text == "0":
        return 0
    sign = -1 if text.startswith("-") else 1
    rest, total = text.lstrip("+-"), 0.0
    if not rest or len(text) - len(rest) > 1:
        raise ValueError(text)
    while rest:
        match = _DURATION.match(rest)
        if match is None:
            raise ValueError(text)
        number, unit = re.fullmatch(r"([\d.]+)(\D+)", match[0]).groups()  # type: ignore[union-attr]  # by _DURATION
        total += float(number) * _UNITS[unit]
        rest = rest[match.end() :]
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
        return parse_timestamp(values[0])
    except ValueError:
        # Docker answers 500 here.
        raise Internal(f'failed to parse value as time or duration: "{values[0]}"') from None


def labels_match(filters: Filters, labels: dict[str, str]) -> bool:
    """The ``label`` and ``label!`` filters of prune."""
    return filters.labels(labels) and not any(label_matches(term, labels) for term in filters.get("label!"))


def reference_matches(pattern: str, reference: Reference) -> bool:
    """The ``reference`` filter: the pattern holds for the whole familiar name, or without its tag."""
    expression = _pattern(pattern)
    return any(expression.fullmatch(text) for text in (reference.familiar, reference.familiar_name))


def _pattern(pattern: str) -> re.Pattern[str]:
    """Go's ``path.Match`` as a regular expression: ``*`` and ``?`` stop at a slash."""
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            end = pattern.find("]", at + 1)
            if end < 0:
                raise InvalidArgument("syntax error in pattern")
            body = pattern[at:end]
            negated = body.startswith("^")
            members = re.sub(r"[^\w-]", lambda found: re.escape(found[0]), body[negated:])
            out.append(f"[{'^' if negated else ''}{members}]")
            at = end + 1
        elif char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error:
        raise InvalidArgument("syntax error in pattern") from None
