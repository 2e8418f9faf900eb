"""The query string by Docker's rules (Go's url.Values and moby's httputils)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from wherry.lib.errors import InvalidArgument
from wherry.lib.filters import Filters, parse_filters

FIELD_LIMIT = 1000
FALSE = frozenset({"", "0", "no", "false", "none"})

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_INT64 = range(-(2**63), 2**63)


class QueryString:
    """See ``routing.Query``."""

    __slots__ = ("_values",)

    def __init__(self, raw: str) -> None:
        """Raises InvalidArgument when ``raw`` is not a query string."""
        self._values: dict[str, list[str]] = {}
        if not raw:
            return
        bad = _BAD_ESCAPE.search(raw)
        if bad is not None:
            raise InvalidArgument(f'invalid URL escape "{bad[0]}"')
        try:
            pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=FIELD_LIMIT)
        except ValueError as error:
            raise InvalidArgument(f"invalid query: {error}") from None
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def text(self, name: str, default: str = "") -> str:
        """The first value of ``name``."""
        values = self._values.get(name)
        return values[0] if values else default

    def texts(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        return list(self._values.get(name, ()))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean: absent is the default; empty, 0, no, false, none are false; the rest true."""
        values = self._values.get(name)
        return default if values is None else values[0].strip().lower() not in FALSE

    def integer(self, name: str, default: int) -> int:
        """A decimal number; absent or empty is the default. Raises InvalidArgument."""
        text = self.text(name)
        if not text:
            return default
        return atoi(text)

    def filters(self) -> Filters:
        """The ``filters`` parameter. Raises InvalidArgument."""
        return parse_filters(self.text("filters"))

    def has(self, name: str) -> bool:
        """Whether the parameter was given at all."""
        return name in self._values


def atoi(text: str) -> int:
    """Go's strconv.Atoi. Raises InvalidArgument in its words."""
    if not _INTEGER.fullmatch(text) or not text.isascii():
        raise InvalidArgument(f'strconv.Atoi: parsing "{text}": invalid syntax')
    if len(text) > 20 or int(text) not in _INT64:
        raise InvalidArgument(f'strconv.Atoi: parsing "{text}": value out of range')
    return int(text)
