"""Bytes on their way from the connection to whoever reads them, with back-pressure."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Inbox:
    """A queue of bytes with an end. Above ``high`` bytes ``hold`` is called, below half of it ``release``."""

    def __init__(self, high: int, hold: Callable[[], None], release: Callable[[], None]) -> None:
        self._high = high
        self._hold = hold
        self._release = release
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._held = False
        self._ended = False
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be put in."""
        return self._ended

    def put(self, data: bytes) -> None:
        """More bytes have come."""
        if self._ended or not data:
            return
        self._pieces.append(data)
        self._size += len(data)
        self._wake()
        if self._size > self._high and not self._held:
            self._held = True
            self._hold()

    def end(self) -> None:
        """No more will come; what is queued can still be read."""
        self._ended = True
        self._wake()

    def fail(self, failure: Exception) -> None:
        """No more will come, and that is an error for the reader."""
        if not self._ended:
            self._failure = failure
            self.end()

    async def get(self) -> bytes:
        """The next bytes; empty at the end. Raises what was given to :meth:`fail`."""
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._held and self._size * 2 < self._high:
            self._held = False
            self._release()
        return piece

    def discard(self) -> None:
        """Throw away what is queued and what will come."""
        if self._ended and not self._pieces and not self._held:
            return
        self._pieces.clear()
        self._size = 0
        self._ended = True
        self._wake()
        if self._held:
            self._held = False
            self._release()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
