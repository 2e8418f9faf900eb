"""Between a hijacked connection and a process's streams: attach, exec and attach over a websocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from wherry.api.routes.detach_keys import DetachScanner
from wherry.api.server.multiplex import MULTIPLEXED, RAW, frame
from wherry.api.server.routing import ApiVersion, Request, Stream

MULTIPLEXED_SINCE = ApiVersion(1, 42)
"""Since then the content type says whether frames follow; the bytes are the same in every version."""


class AttachSession(Protocol):
    """One client's view of a process's streams."""

    @property
    def tty(self) -> bool:
        """Whether the process has a terminal: one stream, no frames."""

    @property
    def ends_with_input(self) -> bool:
        """Whether the session is over when the client's input ends.

        So it is, if input is attached, for a terminal and for a container whose stdin stays open for the next client;
        otherwise the end is passed on and output goes on.
        """

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Chunks as (1 stdout | 2 stderr, bytes), until the process has ended or the session is closed."""

    async def stdin(self, data: bytes) -> None:
        """Pass input on; dropped if stdin is not attached. Waits while the process is slow."""

    async def close_stdin(self) -> None:
        """The client's input has ended."""

    async def close(self, *, detached: bool = False) -> None:
        """End the session and leave the process alone; ``detached`` if the client typed the detach keys."""


def content_type(request: Request, *, tty: bool) -> str:
    """What dockerd calls the stream that follows."""
    if tty or request.version < MULTIPLEXED_SINCE:
        return RAW
    return MULTIPLEXED


def hijacked_type(request: Request, *, tty: bool) -> str:
    """The same for a hijacked connection: without an upgrade it is always called raw."""
    return content_type(request, tty=tty) if "upgrade" in request.headers else RAW


async def pump(stream: Stream, session: AttachSession, request: Request, *, keys: bytes, multiplexed: bool) -> None:
    """Carry both directions until one side is done, then close the session and the connection."""
    scanner = DetachScanner(keys) if session.tty else None
    outgoing = asyncio.create_task(_outgoing(stream, session, multiplexed=multiplexed))
    incoming = asyncio.create_task(_incoming(stream, session, scanner))
    gone = asyncio.create_task(request.gone())
    tasks = (outgoing, incoming, gone)
    detached = False
    try:
        await asyncio.wait({outgoing, incoming}, return_when=asyncio.FIRST_COMPLETED)
        if not outgoing.done():
            detached = incoming.result()
            if not detached and not session.ends_with_input:
                await asyncio.wait({outgoing, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await session.close(detached=detached)
        await stream.close()
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, ConnectionError):
            raise result


async def _outgoing(stream: Stream, session: AttachSession, *, multiplexed: bool) -> None:
    async for number, data in session.output():
        await stream.write(frame(number, data) if multiplexed else data)


async def _incoming(stream: Stream, session: AttachSession, scanner: DetachScanner | None) -> bool:
    """Whether the client has detached. It has not when its input just ended."""
    while data := await stream.read():
        passed, detached = scanner.feed(data) if scanner else (data, False)
        if passed:
            await session.stdin(passed)
        if detached:
            return True
    rest = scanner.rest() if scanner else b""
    if rest:
        await session.stdin(rest)
    await session.close_stdin()
    return False
