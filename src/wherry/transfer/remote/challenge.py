"""``WWW-Authenticate``: what a registry asks of its clients (RFC 7235, 4.1; RFC 6750, 3; distribution's token spec).

challenge := scheme [ param *( "," param ) ]        several in one header, or in several headers
param     := name "=" ( token | quoted-string )
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAM = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?:\s+|\s*,|$)")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """``scheme`` and the names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Every challenge that can be read; what cannot be is passed over, since one good challenge is enough."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while match := _SCHEME.match(header, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while param := _PARAM.match(header, position):
            quoted = param[2]
            value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else param[3]
            parameters.setdefault(param[1].lower(), value)
            position = param.end()
        found.append(Challenge(match[1].lower(), parameters))
    return found


def bearer_error(challenges: Iterable[Challenge]) -> tuple[str, str]:
    """``error`` and ``error_description`` of the first Bearer challenge that has one (RFC 6750, 3.1)."""
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("error"):
            return challenge.parameters["error"], challenge.parameters.get("error_description", "")
    return "", ""
