"""Attached clients: each container has one hub, each client one session on it.

A session may be opened before the container starts: it then sees everything from the first byte. A slow client holds
the container's output back (as in Docker), one that has gone is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from wherry.runtime.launcher import Shim

STDOUT, STDERR = 1, 2
QUEUED_CHUNKS = 32
"""Chunks (of at most 64 KiB) that wait for one client before the container is held back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which of a container's streams a client asked for."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


class Session:
    """One client's view of a process's streams."""

    def __init__(
        self, hub: Hub, wanted: Wanted, *, tty: bool, stdin_once: bool, on_detach: Callable[[], None] | None
    ) -> None:
        self.tty = tty
        self._hub = hub
        self._wanted = wanted
        self._stdin_once = stdin_once
        self._on_detach = on_detach
        self._queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue(QUEUED_CHUNKS)
        self._closed = False
        self._ended = False

    @property
    def ends_with_input(self) -> bool:
        """Whether the session is over with the client's input: where no end of file can be passed on."""
        return self._wanted.stdin and (self.tty or not self._stdin_once)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Chunks as (1 stdout | 2 stderr, bytes) until the process has ended or the session is closed."""
        while not (self._closed or (self._ended and self._queue.empty())):
            item = await self._queue.get()
            if item is None:
                return
            yield item

    async def stdin(self, data: bytes) -> None:
        """Send input; before the start it waits for the start. Without stdin attached it is dropped."""
        if self._wanted.stdin:
            shim = await self._hub.started()
            await shim.write_stdin(data)

    async def close_stdin(self) -> None:
        """The client's input has ended: the program sees end of file when its stdin was opened for one client."""
        if self._wanted.stdin and self._stdin_once:
            shim = await self._hub.started()
            await shim.close_stdin()

    async def close(self, *, detached: bool = False) -> None:
        """End the session, not the process; ``detached`` when the client typed the detach keys."""
        if self._closed:
            return
        self._closed = True
        if detached and self._on_detach is not None:
            self._on_detach()
        self._hub.forget(self)
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def deliver(self, stream: int, data: bytes) -> None:
        """Hand over one chunk; waits while the client is slow."""
        if not self._closed and (self._wanted.stdout if stream == STDOUT else self._wanted.stderr):
            await self._queue.put((stream, data))

    def end(self) -> None:
        """The process has ended: the client reads what is queued, then end of file. A slow client is not waited for."""
        self._ended = True
        if not self._closed and not self._queue.full():
            self._queue.put_nowait(None)


class Hub:
    """The sessions of one process, and the shim that feeds them while it runs."""

    def __init__(self) -> None:
        self._sessions: list[Session] = []
        self._shim: asyncio.Future[Shim] = asyncio.get_running_loop().create_future()
        self._subscribed = False

    @property
    def wanted(self) -> bool:
        """Whether anybody listens, so that the output is worth sending to the daemon."""
        return bool(self._sessions)

    async def open(
        self, wanted: Wanted, *, tty: bool, stdin_once: bool, on_detach: Callable[[], None] | None = None
    ) -> Session:
        """Attach a client; ``on_detach`` is called if it leaves by the detach keys."""
        session = Session(self, wanted, tty=tty, stdin_once=stdin_once, on_detach=on_detach)
        self._sessions.append(session)
        await self._subscribe()
        return session

    async def started(self) -> Shim:
        """The shim, once the process runs."""
        return await asyncio.shield(self._shim)

    async def bind(self, shim: Shim) -> None:
        """The process runs: feed the sessions from ``shim``."""
        self._shim.set_result(shim)
        await self._subscribe()

    async def deliver(self, stream: int, data: bytes) -> None:
        """The shim's sink: one chunk to every session."""
        for session in list(self._sessions):
            await session.deliver(stream, data)

    def end(self) -> None:
        """The process has ended: end every session, and be ready for the next start."""
        sessions, self._sessions = self._sessions, []
        if not self._shim.done():
            self._shim.cancel()
        self._shim = asyncio.get_running_loop().create_future()
        self._subscribed = False
        for session in sessions:
            session.end()

    def forget(self, session: Session) -> None:
        """A client has gone."""
        if session in self._sessions:
            self._sessions.remove(session)

    async def _subscribe(self) -> None:
        if self._shim.done() and self._sessions and not self._subscribed:
            self._subscribed = True
            await self._shim.result().subscribe(self.deliver)
