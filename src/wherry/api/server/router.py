"""From method and path to a route: fixed paths by dictionary, the others by one pattern each, most specific first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from wherry.api.server.operations import OPERATIONS
from wherry.api.server.routing import Route
from wherry.lib.errors import NotFound

T = TypeVar("T")

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A documented operation that no route serves."""

    method: str
    pattern: str

    @property
    def name(self) -> str:
        """As the API documents it."""
        return f"{self.method} {self.pattern.replace(':path}', '}')}"


class Table(Generic[T]):
    """What stands at which method and path."""

    def __init__(self, entries: Iterable[tuple[str, str, T]]) -> None:
        self._fixed: dict[tuple[str, str], T] = {}
        shaped: list[tuple[str, str, T]] = []
        for method, pattern, item in entries:
            if "{" in pattern:
                shaped.append((method, pattern, item))
            else:
                self._fixed[method, pattern] = item
        shaped.sort(key=lambda entry: _generality(entry[1]))
        self._shaped: dict[tuple[str, str], list[tuple[re.Pattern[str], T]]] = {}
        for method, pattern, item in shaped:
            key = (method, _first_segment(pattern))
            self._shaped.setdefault(key, []).append((_compile(pattern), item))

    def find(self, method: str, path: str) -> tuple[T, Mapping[str, str]] | None:
        """The entry for a request and the parameters in its path."""
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, _NOTHING
        for pattern, item in self._shaped.get((method, _first_segment(path)), ()):
            match = pattern.fullmatch(path)
            if match is not None:
                return item, match.groupdict()
        return None


class Router:
    """The routes, and behind them the documented operations that are not built."""

    def __init__(self, routes: Sequence[Route]) -> None:
        served = {(route.method, _shape(route.pattern)) for route in routes}
        self._routes = Table((route.method, route.pattern, route) for route in routes)
        self._unbuilt = Table(
            (method, pattern, Unbuilt(method, pattern))
            for method, pattern in OPERATIONS
            if (method, _shape(pattern)) not in served
        )

    def find(self, method: str, path: str) -> tuple[Route | Unbuilt, Mapping[str, str]]:
        """The route for a decoded path without version. Raises NotFound.

        A known path with another method is "page not found" too: dockerd has no 405.
        """
        found = self._routes.find(method, path) or self._unbuilt.find(method, path)
        if found is None:
            raise NotFound("page not found")
        return found


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _shape(pattern: str) -> str:
    return _PARAMETER.sub("{}", pattern)


def _generality(pattern: str) -> tuple[int, int]:
    """Sorts ``/x/{a}/json`` before ``/x/{a}`` before ``/x/{a:path}``."""
    parameters = _PARAMETER.findall(pattern)
    return (sum(2 if path else 1 for _, path in parameters), -len(_shape(pattern)))


def _compile(pattern: str) -> re.Pattern[str]:
    text, position = "", 0
    for match in _PARAMETER.finditer(pattern):
        text += re.escape(pattern[position : match.start()])
        text += f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"
        position = match.end()
    return re.compile(text + re.escape(pattern[position:]), re.DOTALL)
