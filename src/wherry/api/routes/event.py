"""GET /events: the stream of what happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Protocol

import msgspec

from wherry.api.server.routing import ApiVersion, Chunked, Request, Response, Route
from wherry.lib.clock import parse_timestamp
from wherry.lib.errors import InvalidArgument
from wherry.lib.filters import Filters
from wherry.wire.event import EventMessage

IMAGE_CREATE_SINCE = ApiVersion(1, 46)


class Backend(Protocol):
    """Where events come from."""

    def subscribe(
        self,
        since_ns: int | None = None,
        until_ns: int | None = None,
        filters: Filters | None = None,
    ) -> AsyncGenerator[EventMessage, None]:
        """Remembered events of the span, if one is given, then live ones; ends at ``until_ns``."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [Route("GET", "/events", partial(stream_events, backend))]


async def stream_events(backend: Backend, request: Request) -> Response:
    """One JSON object per event, a line each."""
    since, until = _instant(request, "since"), _instant(request, "until")
    if until is not None and until < (since or 0):
        raise InvalidArgument(
            f"`since` time ({request.query.text('since')}) cannot be after `until` time ({request.query.text('until')})"
        )
    messages = backend.subscribe(since, until, request.query.filters())
    return Chunked(_lines(messages, request.version), "application/json", eager=True)


def _instant(request: Request, name: str) -> int | None:
    text = request.query.text(name)
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except ValueError:
        raise InvalidArgument(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


async def _lines(messages: AsyncGenerator[EventMessage, None], version: ApiVersion) -> AsyncIterator[bytes]:
    encoder = msgspec.json.Encoder(order="deterministic")
    try:
        async for message in messages:
            if version < IMAGE_CREATE_SINCE and (message.type, message.action) == ("image", "create"):
                continue
            yield encoder.encode(message) + b"\n"
    finally:
        await messages.aclose()
