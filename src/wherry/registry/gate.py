"""What keeps an online garbage collection from taking what a push is about to use.

A push asks whether a blob is there, and names it in a manifest only later; so everything that a client was told to be
there is noted, and a collector spares what was noted of late. The short step in which a push makes content reachable is
shared among pushes and excludes the collector's removal of a blob.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

NOTED_MAX = 200_000


class Gate:
    """A lock that any number may share, or one may have; who waits for all of it goes before new sharers."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._sharers = 0
        self._taken = False
        self._waiting = 0
        self._noted: OrderedDict[str, float] = OrderedDict()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Content is being made reachable."""
        with self._turn:
            while self._taken or self._waiting:
                self._turn.wait()
            self._sharers += 1
        try:
            yield
        finally:
            with self._turn:
                self._sharers -= 1
                self._turn.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """A blob is looked at once more, and removed. Keep it short: every push waits."""
        with self._turn:
            self._waiting += 1
            try:
                while self._taken or self._sharers:
                    self._turn.wait()
                self._taken = True
            finally:
                self._waiting -= 1
        try:
            yield
        finally:
            with self._turn:
                self._taken = False
                self._turn.notify_all()

    def note(self, digest: str) -> None:
        """A client has been told that this blob is there."""
        with self._turn:
            self._noted[digest] = time.monotonic()
            self._noted.move_to_end(digest)
            if len(self._noted) > NOTED_MAX:
                self._noted.popitem(last=False)

    def noted(self, digest: str, seconds: float) -> bool:
        """Whether that was less than so many seconds ago, in this process."""
        with self._turn:
            return time.monotonic() - self._noted.get(digest, float("-inf")) < seconds
