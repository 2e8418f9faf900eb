"""A request on its connection: what handlers see as ``routing.Request`` and ``routing.Stream``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol, TypeVar

from wherry.api.server.decode import check_content_type, decode_json
from wherry.api.server.head import Head
from wherry.api.server.inbox import Inbox
from wherry.api.server.limits import Limits
from wherry.api.server.query import QueryString
from wherry.api.server.routing import ApiVersion, Query, Stream
from wherry.lib.errors import InvalidArgument

T = TypeVar("T")

_NO_QUERY = QueryString("")


class Wire(Protocol):
    """What a request needs of its connection."""

    async def send(self, data: bytes) -> None:
        """Write; waits while the client is slow. Raises ConnectionError once it is gone."""

    def half_close(self) -> None:
        """Send end of file after what was written."""

    def finish(self) -> None:
        """End the connection after what was written has gone out."""

    def send_continue(self) -> None:
        """Tell a client that waits for it to send the body."""

    async def take(self, head: bytes) -> Inbox:
        """Skip what is left of the body, send ``head`` and hand over the bytes that follow."""

    def upgraded_head(self, content_type: str, *, asked: bool) -> bytes:
        """The head of a hijacked answer."""

    def switched_head(self, headers: Mapping[str, str]) -> bytes:
        """The head of a change of protocol."""

    async def gone(self) -> None:
        """Returns when the client has hung up."""


class HttpRequest:
    """See ``routing.Request``."""

    def __init__(
        self,
        head: Head,
        *,
        path: Mapping[str, str],
        version: ApiVersion,
        wire: Wire,
        body: Inbox,
        limits: Limits,
    ) -> None:
        self.method: str = head.method
        self.path: Mapping[str, str] = path
        self.query: Query = QueryString(head.query.decode("utf-8", "replace")) if head.query else _NO_QUERY
        self.headers: Mapping[str, str] = head.headers
        self.version: ApiVersion = version
        self._head = head
        self._wire = wire
        self._body = body
        self._limits = limits

    @property
    def has_body(self) -> bool:
        """Whether the client announced a body, known to be empty or not."""
        return self._head.framing is not None

    async def body(self, limit: int = 0) -> bytes:
        """The whole body; ``limit`` 0 is the server's own. Raises InvalidArgument beyond it or when it is late."""
        if self._head.framing is None:
            return b""
        limit = limit or self._limits.body
        announced = self._head.framing.remaining()
        if announced is not None and announced > limit:
            raise InvalidArgument(f"request body too large: more than {limit} bytes")
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_time):
                async for piece in self.chunks():
                    size += len(piece)
                    if size > limit:
                        raise InvalidArgument(f"request body too large: more than {limit} bytes")
                    pieces.append(piece)
        except TimeoutError:
            raise InvalidArgument("request body did not arrive in time") from None
        return b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece. Raises InvalidArgument when it breaks off."""
        if not self._body.ended:
            self._wire.send_continue()
        while piece := await self._body.get():
            yield piece

    async def json(self, model: type[T], *, optional: bool = False) -> T:
        """The body as ``model``; see ``routing.Request``."""
        check_content_type(self.headers.get("content-type", ""), has_body=self.has_body)
        body = await self.body()
        if body.strip():
            return decode_json(body, model)
        if not optional:
            raise InvalidArgument("invalid JSON: got EOF while reading request body")
        return model()

    async def hijack(self, content_type: str) -> Stream:
        """Take the connection over; 101 UPGRADED if the client asked for an upgrade, else 200."""
        head = self._wire.upgraded_head(content_type, asked=self._head.upgrade)
        return RawStream(self._wire, await self._wire.take(head))

    async def switch(self, headers: Mapping[str, str]) -> Stream:
        """Answer 101 with ``headers`` and take the connection over for another protocol."""
        return RawStream(self._wire, await self._wire.take(self._wire.switched_head(headers)))

    async def gone(self) -> None:
        """Returns when the client has hung up."""
        await self._wire.gone()


class RawStream:
    """See ``routing.Stream``."""

    def __init__(self, wire: Wire, inbox: Inbox) -> None:
        self._wire = wire
        self._inbox = inbox

    async def read(self) -> bytes:
        """The next bytes; empty once the client has half-closed or gone."""
        return await self._inbox.get()

    async def write(self, data: bytes) -> None:
        """Send; waits while the client is slow. Raises ConnectionError once it is gone."""
        await self._wire.send(data)

    async def close_write(self) -> None:
        """Half-close."""
        self._wire.half_close()

    async def close(self) -> None:
        """End the connection after what was written has been sent."""
        self._wire.finish()
