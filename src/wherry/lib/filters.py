"""The ``filters`` parameter of the Engine API: a JSON map of name to values, all names ANDed, values ORed.

Two encodings are in use: ``{"status": ["exited"]}`` and, since API 1.22, ``{"status": {"exited": true}}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wherry.lib.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Filters:
    """Parsed filters: name to the values asked for, in order."""

    terms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def get(self, name: str) -> tuple[str, ...]:
        """The values of one filter; empty when it was not given."""
        return self.terms.get(name, ())

    def check(self, known: Iterable[str]) -> None:
        """Refuse a filter that is not ``known``. Raises InvalidArgument in Docker's words."""
        accepted = set(known)
        for name in self.terms:
            if name not in accepted:
                raise InvalidArgument(f"invalid filter '{name}'")

    def flag(self, name: str, *, default: bool) -> bool:
        """A filter that is a boolean (``dangling=true``). Raises InvalidArgument for anything else."""
        values = self.get(name)
        if not values:
            return default
        seen = {_boolean(name, value) for value in values}
        if len(seen) != 1:
            raise InvalidArgument(f"invalid filter '{name}={list(values)}'")
        return seen.pop()

    def labels(self, labels: Mapping[str, str], name: str = "label") -> bool:
        """Whether every ``key`` or ``key=value`` of the label filter holds for ``labels``."""
        return all(label_matches(term, labels) for term in self.get(name))


def label_matches(term: str, labels: Mapping[str, str]) -> bool:
    """Whether ``key`` or ``key=value`` holds for ``labels``."""
    key, equals, value = term.partition("=")
    if key not in labels:
        return False
    return not equals or labels[key] == value


def parse_filters(text: str) -> Filters:
    """Filters from their JSON text; empty text is no filter. Raises InvalidArgument."""
    if not text:
        return Filters()
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid filter: {error}") from None
    if not isinstance(raw, dict):
        raise InvalidArgument("invalid filter: expected an object")
    return Filters({name: _values(name, values) for name, values in raw.items()})


def _values(name: str, values: object) -> tuple[str, ...]:
    if isinstance(values, dict):
        return tuple(key for key, on in values.items() if on)
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return tuple(values)
    raise InvalidArgument(f"invalid filter '{name}': expected a list of strings")


def _boolean(name: str, text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise InvalidArgument(f"invalid filter '{name}=[{text}]'")
