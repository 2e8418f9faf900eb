"""Where the threads of one transfer say how far they are, and the one place that tells the client.

What was said is kept in order, but of a blob on the move only the latest figure: a slow client costs no memory and
holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from wherry.transfer.progress import Message
from wherry.transfer.threads import give_up

INTERVAL_S = 0.1
"""Seconds between two looks at the figures."""


class Board:
    """Made on the event loop; ``say`` may be called from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: dict[str | int, Message] = {}
        self._said = 0

    def say(self, message: Message) -> None:
        """Have the client told."""
        self._loop.call_soon_threadsafe(self._put, message)

    def _put(self, message: Message) -> None:
        if message.progress_detail is not None and message.progress_detail.current:
            self._lines[message.id] = message
            return
        figure = self._lines.pop(message.id, None)
        if figure is not None:
            self._append(figure)
        self._append(message)

    def _append(self, message: Message) -> None:
        self._said += 1
        self._lines[self._said] = message

    def take(self) -> list[Message]:
        """What was said since the last time."""
        lines, self._lines = list(self._lines.values()), {}
        return lines

    async def until(self, work: asyncio.Future[Any]) -> AsyncGenerator[Message, None]:
        """What is said until ``work`` ends. Cancels it when the caller goes; raises what it raised, after the rest."""
        try:
            while not work.done():
                await asyncio.wait([work], timeout=INTERVAL_S)
                await asyncio.sleep(0)  # what the threads said last is on its way
                for message in self.take():
                    yield message
        finally:
            await give_up(work)
        for message in self.take():
            yield message
        work.result()
