"""Counters, gauges and histograms, and their text form (Prometheus exposition format 0.0.4). Thread-safe."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The buckets that Go's client has for durations."""

Labels = tuple[str, ...]


class Instrument(Protocol):
    """Something that is scraped."""

    def lines(self) -> Iterator[str]:
        """Its text, comments first; nothing while nothing was measured."""


class Counter:
    """A number for every combination of labels that only grows."""

    kind = "counter"

    def __init__(self, name: str, words: str, labels: Sequence[str] = ()) -> None:
        self.name, self._words, self._labels = name, words, tuple(labels)
        self._lock = threading.Lock()
        self._values: dict[Labels, float] = {}

    def add(self, *labels: str, amount: float = 1) -> None:
        """Grow by ``amount``."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def get(self, *labels: str) -> float:
        """The value now."""
        with self._lock:
            return self._values.get(labels, 0)

    def lines(self) -> Iterator[str]:
        """See Instrument."""
        with self._lock:
            values = sorted(self._values.items())
        if values:
            yield from _head(self.name, self._words, self.kind)
        for labels, value in values:
            yield f"{self.name}{_labels(self._labels, labels)} {_number(value)}"


class Gauge(Counter):
    """A number for every combination of labels that is what it is."""

    kind = "gauge"

    def set(self, *labels: str, value: float) -> None:
        """It is this now."""
        with self._lock:
            self._values[labels] = value


class Histogram:
    """How often a measure was below each bound, for every combination of labels."""

    def __init__(self, name: str, words: str, labels: Sequence[str] = (), bounds: Sequence[float] = SECONDS) -> None:
        self.name, self._words, self._labels, self._bounds = name, words, tuple(labels), tuple(bounds)
        self._lock = threading.Lock()
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, *labels: str, value: float) -> None:
        """One more measure."""
        place = bisect.bisect_left(self._bounds, value)
        with self._lock:
            counts = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1))
            counts[place] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + value

    def lines(self) -> Iterator[str]:
        """See Instrument."""
        with self._lock:
            found = sorted((labels, list(counts), self._sums[labels]) for labels, counts in self._counts.items())
        if found:
            yield from _head(self.name, self._words, "histogram")
        for labels, counts, total in found:
            below = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), counts, strict=True):
                below += count
                yield f"{self.name}_bucket{_labels((*self._labels, 'le'), (*labels, bound))} {below}"
            yield f"{self.name}_sum{_labels(self._labels, labels)} {_number(total)}"
            yield f"{self.name}_count{_labels(self._labels, labels)} {below}"


def render(instruments: Sequence[Instrument]) -> bytes:
    """The text of a scrape."""
    return "".join(f"{line}\n" for instrument in instruments for line in instrument.lines()).encode()


def _head(name: str, words: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {words}", f"# TYPE {name} {kind}"


def _labels(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{','.join(pairs)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
