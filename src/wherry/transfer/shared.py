"""Work that several want and that is done once: it goes on while anybody waits for it, and ends with the last.

    key ─▶ Job ─┬─ holder (its owner: who began it)
                └─ holder

A job that failed is forgotten at once, so that whoever comes next, or held it without having begun it, can try anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar


class Job(Protocol):
    """What can be shared."""

    async def run(self) -> None:
        """Do it. Raises what went wrong; cleans up then and when cancelled."""

    async def drop(self) -> None:
        """Nobody wants what it has done any more."""


J = TypeVar("J", bound=Job)


class Held(Generic[J]):
    """One holder's share of a job. ``release`` ends it."""

    def __init__(self, entry: _Entry[J], release: Callable[[], Awaitable[None]], *, owner: bool) -> None:
        self.job = entry.job
        self.task = entry.task
        self.owner = owner
        self._entry = entry
        self._release: Callable[[], Awaitable[None]] | None = release
        self._end = release
        entry.holders += 1

    async def done(self) -> J:
        """The job, once it is done. Raises what it raised. Cancelling who waits does not cancel the job."""
        await asyncio.shield(self.task)
        return self.job

    def again(self) -> Held[J]:
        """Another share, for a job that needs this one."""
        return Held(self._entry, self._end, owner=False)

    async def release(self) -> None:
        """Hold it no longer."""
        release, self._release = self._release, None
        if release is not None:
            await release()


class _Entry(Generic[J]):
    def __init__(self, job: J) -> None:
        self.job = job
        self.holders = 0
        self.task = asyncio.ensure_future(job.run())


class Jobs(Generic[J]):
    """The jobs of one kind, by key."""

    def __init__(self) -> None:
        self._entries: dict[object, _Entry[J]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def hold(self, key: object, make: Callable[[], J]) -> Held[J]:
        """The job of ``key``, begun if there is none."""
        entry = self._entries.get(key)
        owner = entry is None
        if entry is None:
            entry = self._entries[key] = _Entry(make())
            entry.task.add_done_callback(lambda task: self._ended(key, task))
        return Held(entry, lambda: self._release(key, entry), owner=owner)

    async def close(self) -> None:
        """Wait for what is being cleaned up."""
        while self._ending:
            await asyncio.wait(set(self._ending))

    def _ended(self, key: object, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._forget(key, task)

    def _forget(self, key: object, task: asyncio.Task[None]) -> None:
        entry = self._entries.get(key)
        if entry is not None and entry.task is task:
            del self._entries[key]

    async def _release(self, key: object, entry: _Entry[J]) -> None:
        entry.holders -= 1
        if entry.holders:
            return
        self._forget(key, entry.task)
        ending = asyncio.ensure_future(_end(entry))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)


async def _end(entry: _Entry[J]) -> None:
    entry.task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await entry.task
    await entry.job.drop()
