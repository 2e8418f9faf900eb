"""One request and its answer: find the route, run the handler, write what it returns."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote

import msgspec

from wherry.api.server import request as requests
from wherry.api.server.answer import BODILESS, JSON_TYPE, TEXT_TYPE
from wherry.api.server.errors import error_body, status_of
from wherry.api.server.head import Head
from wherry.api.server.inbox import Inbox
from wherry.api.server.router import Unbuilt
from wherry.api.server.routing import Chunked, Empty, Json, Response, Taken, Text
from wherry.api.server.service import Service
from wherry.api.server.versions import parse_version, split_version
from wherry.lib.errors import InvalidArgument, NotBuilt, NotFound, WherryError

logger = logging.getLogger(__name__)

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
_SLASHES = re.compile("//+")
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Carrier(requests.Wire, Protocol):
    """What an exchange needs of its connection."""

    @property
    def taken(self) -> bool:
        """Whether the connection has been hijacked."""

    @property
    def lost(self) -> bool:
        """Whether the client is gone."""

    def reusable(self) -> bool:
        """Whether a further request may follow the answer that is about to be written."""

    def done(self, *, reusable: bool) -> None:
        """The exchange is over."""


class Exchange:
    """See the module."""

    def __init__(self, carrier: Carrier, head: Head, body: Inbox, service: Service) -> None:
        self._carrier = carrier
        self._head = head
        self._body = body
        self._service = service
        self._started = False
        self._keep = False
        self._endless = False
        self.uninterrupted = False
        """The handler runs to its end even if the client hangs up."""

    @property
    def streaming(self) -> bool:
        """Whether the answer has no end of its own: a stream of chunks or a hijacked connection."""
        return self._endless or self._carrier.taken

    async def run(self) -> None:
        """Answer the request. A client that is gone is no error."""
        finished = False
        try:
            try:
                response = await self._handle()
                await self._write(response)
                finished = True
            except ConnectionError as error:
                if not self._carrier.lost:
                    finished = await self._fail(error)
            except Exception as error:  # noqa: BLE001 (whatever a handler raises is the client's answer)
                finished = await self._fail(error)
        except ConnectionError:
            finished = False
        finally:
            self._carrier.done(reusable=finished and self._keep)

    async def _handle(self) -> Response:
        head = self._head
        named, path = split_version(_decoded(head.path))
        found, parameters = self._service.router.find(head.method, path)
        if isinstance(found, Unbuilt):
            parse_version(named)
            raise NotBuilt(f"{found.name} is not built yet")
        version = parse_version(named, found.since)
        if version < found.since:
            raise NotFound("page not found")
        logger.debug("Calling %s %s", head.method, path)
        self.uninterrupted = found.uninterrupted
        request = requests.HttpRequest(
            head, path=parameters, version=version, wire=self._carrier, body=self._body, limits=self._service.limits
        )
        return await found.handler(request)

    async def _fail(self, error: Exception) -> bool:
        """Answer an error; false if the answer had begun, so that only cutting it short can tell the client."""
        if not isinstance(error, WherryError):
            logger.error(
                "Handler for %s %s failed", self._head.method, self._head.path.decode("latin-1"), exc_info=error
            )
        if self._started or self._carrier.taken:
            if isinstance(error, WherryError):
                logger.warning(
                    "Answer to %s %s cut short: %s", self._head.method, self._head.path.decode("latin-1"), error
                )
            return False
        await self._whole(status_of(error), {}, error_body(error), JSON_TYPE)
        return True

    async def _write(self, response: Response) -> None:
        if isinstance(response, Json):
            await self._whole(response.status, response.headers, _ENCODER.encode(response.value) + b"\n", JSON_TYPE)
        elif isinstance(response, Text):
            await self._whole(response.status, response.headers, response.text.encode(), TEXT_TYPE)
        elif isinstance(response, Empty):
            await self._whole(response.status, response.headers, b"", "")
        elif isinstance(response, Chunked):
            await self._stream(response)
        elif not isinstance(response, Taken) or not (self._carrier.taken or self._carrier.lost):
            raise TypeError(f"not an answer: {response!r}")

    async def _whole(self, status: int, headers: Mapping[str, str], body: bytes, content_type: str) -> None:
        """An answer of known length, in one write."""
        if status in BODILESS:
            framing, body, content_type = b"", b"", ""
        else:
            framing = b"Content-Length: %d\r\n" % len(body)
        head = self._start(status, headers, framing, content_type, keep=True)
        await self._carrier.send(head if self._head.method == "HEAD" else head + body)

    async def _stream(self, response: Chunked) -> None:
        """An answer of unknown length. HTTP/1.0 has no chunks: there the connection's end is the answer's."""
        self._endless = True
        old = self._head.old
        framing = b"" if old else b"Transfer-Encoding: chunked\r\n"
        chunks = response.chunks
        try:
            if response.eager:
                await self._carrier.send(
                    self._start(200, response.headers, framing, response.content_type, keep=not old)
                )
            if self._head.method == "HEAD":
                return
            async for piece in chunks:
                prefix = b""
                if not self._started:
                    prefix = self._start(200, response.headers, framing, response.content_type, keep=not old)
                if piece:
                    await self._carrier.send(prefix + (piece if old else b"%x\r\n%b\r\n" % (len(piece), piece)))
                elif prefix:
                    await self._carrier.send(prefix)
            prefix = b""
            if not self._started:
                prefix = self._start(200, response.headers, framing, response.content_type, keep=not old)
            await self._carrier.send(prefix if old else prefix + b"0\r\n\r\n")
        finally:
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()

    def _start(
        self, status: int, headers: Mapping[str, str], framing: bytes, content_type: str, *, keep: bool
    ) -> bytes:
        """The head; from here on the answer cannot become another one."""
        keep = keep and self._head.keep_alive and self._carrier.reusable()
        if not keep:
            framing += b"Connection: close\r\n"
        elif self._head.old:
            framing += b"Connection: keep-alive\r\n"
        head = self._service.heads.render(status, headers, framing=framing, content_type=content_type)
        self._keep = keep
        self._started = True
        return head


def _decoded(path: bytes) -> str:
    """The path as text, with repeated slashes as one. Raises InvalidArgument."""
    text = path.decode("utf-8", "replace")
    if "%" in text:
        bad = _BAD_ESCAPE.search(text)
        if bad is not None:
            raise InvalidArgument(f'invalid URL escape "{bad[0]}"')
        text = unquote(text)
    return _SLASHES.sub("/", text) if "//" in text else text
