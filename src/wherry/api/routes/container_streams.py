"""Containers: what goes in and what comes out. Logs, attach, stats and the size of the terminal."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Protocol

import msgspec

from wherry.api.routes.detach_keys import parse_detach_keys
from wherry.api.routes.log_format import format_line, log_chunks
from wherry.api.routes.streams import AttachSession, content_type, hijacked_type, pump
from wherry.api.server.query import atoi
from wherry.api.server.routing import ApiVersion, Chunked, Empty, Json, Request, Response, Route, Stream, Taken
from wherry.api.server.websocket import accept_websocket
from wherry.lib.clock import parse_timestamp
from wherry.lib.errors import InvalidArgument
from wherry.logs.line import LogLine
from wherry.wire.container import StatsResponse

ONE_SHOT_SINCE = ApiVersion(1, 41)
CHOSEN_STREAMS_SINCE = ApiVersion(1, 42)
"""Before, a websocket always carried all three streams."""
SIZES = range(65536)


class Backend(Protocol):
    """What the routes here need. ``key`` is a name, an id or the unambiguous beginning of one."""

    def has_terminal(self, key: str) -> bool:
        """Whether the container was made with a terminal. Raises NotFound."""

    def logs(
        self, key: str, *, since: int, until: int, tail: int, follow: bool, stdout: bool, stderr: bool
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        """Lines, as many at a time as there are; ``since`` and ``until`` in ns (0: none), ``tail`` -1 is all.

        Raises NotFound, and NotBuilt for a log that cannot be read, at once.
        """

    async def attach(self, key: str, *, stdin: bool, stdout: bool, stderr: bool) -> AttachSession:
        """Join the streams of a container, also before its start. Raises NotFound, Conflict."""

    async def resize(self, key: str, height: int, width: int) -> None:
        """The terminal's size in characters. Raises NotFound, Conflict when it does not run."""

    def stats(self, key: str, *, stream: bool, one_shot: bool) -> AsyncGenerator[StatsResponse, None]:
        """A sample a second, or a single one; ``one_shot`` does not wait for a second sample to compare with.

        A container that does not run has samples of zeros. Raises NotFound, at once or with the first sample.
        """


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/containers/{name}/logs", partial(logs, backend)),
        Route("GET", "/containers/{name}/stats", partial(stats, backend)),
        Route("POST", "/containers/{name}/attach", partial(attach, backend)),
        Route("GET", "/containers/{name}/attach/ws", partial(attach_websocket, backend)),
        Route("POST", "/containers/{name}/resize", partial(resize, backend), uninterrupted=True),
    ]


async def logs(backend: Backend, request: Request) -> Response:
    """``docker logs``."""
    query, key = request.query, request.path["name"]
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    if not (stdout or stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    tty = backend.has_terminal(key)
    batches = backend.logs(
        key,
        since=_instant(request, "since"),
        until=_instant(request, "until"),
        tail=_tail(query.text("tail")),
        follow=query.flag("follow"),
        stdout=stdout,
        stderr=stderr,
    )
    chunks = log_chunks(
        batches, multiplexed=not tty, timestamps=query.flag("timestamps"), details=query.flag("details")
    )
    return Chunked(chunks, content_type(request, tty=tty), eager=True)


async def stats(backend: Backend, request: Request) -> Response:
    """``docker stats``."""
    stream = request.query.flag("stream", default=True)
    one_shot = request.version >= ONE_SHOT_SINCE and request.query.flag("one-shot")
    if stream and one_shot:
        raise InvalidArgument("cannot have stream=true and one-shot=true")
    samples = backend.stats(request.path["name"], stream=stream, one_shot=one_shot)
    if stream:
        return Chunked(_json_lines(samples), "application/json")
    async with aclosing(samples):
        return Json(await anext(samples))


async def attach(backend: Backend, request: Request) -> Response:
    """``docker attach``, and the half of ``docker run`` that carries the streams."""
    query = request.query
    keys = parse_detach_keys(query.text("detachKeys"))
    tty = backend.has_terminal(request.path["name"])
    session = None
    if query.flag("stream"):
        session = await backend.attach(
            request.path["name"], stdin=query.flag("stdin"), stdout=query.flag("stdout"), stderr=query.flag("stderr")
        )
    stream = await _hijack(request, session, tty=tty)
    await _carry(backend, request, stream, session, keys=keys, multiplexed=not tty)
    return Taken()


async def attach_websocket(backend: Backend, request: Request) -> Response:
    """The same over a websocket, where the streams are not told apart."""
    query = request.query
    keys = parse_detach_keys(query.text("detachKeys"))
    every = request.version < CHOSEN_STREAMS_SINCE
    session = None
    if query.flag("stream"):
        session = await backend.attach(
            request.path["name"],
            stdin=every or query.flag("stdin"),
            stdout=every or query.flag("stdout"),
            stderr=every or query.flag("stderr"),
        )
    try:
        stream = await accept_websocket(request)
    except BaseException:
        if session is not None:
            await session.close()
        raise
    await _carry(backend, request, stream, session, keys=keys, multiplexed=False)
    return Taken()


async def resize(backend: Backend, request: Request) -> Response:
    """``docker run -t`` when the window changes."""
    height, width = window_size(request)
    await backend.resize(request.path["name"], height, width)
    return Empty(200)


def window_size(request: Request) -> tuple[int, int]:
    """Height and width in characters. Raises InvalidArgument."""
    height, width = atoi(request.query.text("h")), atoi(request.query.text("w"))
    if height not in SIZES or width not in SIZES:
        raise InvalidArgument(f"invalid terminal size: {height}x{width}")
    return height, width


async def _hijack(request: Request, session: AttachSession | None, *, tty: bool) -> Stream:
    try:
        return await request.hijack(hijacked_type(request, tty=tty))
    except BaseException:
        if session is not None:
            await session.close()
        raise


async def _carry(
    backend: Backend,
    request: Request,
    stream: Stream,
    session: AttachSession | None,
    *,
    keys: bytes,
    multiplexed: bool,
) -> None:
    """What was printed before, if asked for, then the session."""
    try:
        if request.query.flag("logs"):
            await _replay(backend, request, stream, multiplexed=multiplexed)
    except BaseException:
        if session is not None:
            await session.close()
        raise
    if session is None:
        await stream.close()
    else:
        await pump(stream, session, request, keys=keys, multiplexed=multiplexed)


async def _replay(backend: Backend, request: Request, stream: Stream, *, multiplexed: bool) -> None:
    stdout, stderr = request.query.flag("stdout"), request.query.flag("stderr")
    batches = backend.logs(request.path["name"], since=0, until=0, tail=-1, follow=False, stdout=stdout, stderr=stderr)
    async with aclosing(batches):
        async for batch in batches:
            lines = (format_line(line, multiplexed=multiplexed, timestamps=False, details=False) for line in batch)
            await stream.write(b"".join(lines))


async def _json_lines(samples: AsyncGenerator[StatsResponse, None]) -> AsyncIterator[bytes]:
    encoder = msgspec.json.Encoder()
    async with aclosing(samples):
        async for sample in samples:
            yield encoder.encode(sample) + b"\n"


def _instant(request: Request, name: str) -> int:
    text = request.query.text(name)
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError):
        raise InvalidArgument(
            f'invalid value for "{name}": failed to parse value as time or duration: "{text}"'
        ) from None


def _tail(text: str) -> int:
    """The number of lines; anything that is not one means all, as dockerd takes it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
