"""One client's connection: requests one after the other, each answered before the next is read.

wait for a head ─▶ parse ─▶ handler (reads the body) ─▶ answer ─▶ what is left of the body, if little ─▶ again
     │ idle too long, or the server ends                  └─ else the connection ends, in order
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from wherry.api.server.answer import CONTINUE
from wherry.api.server.head import BadRequest, Head, parse_head
from wherry.api.server.query import QueryString
from wherry.lib.errors import InvalidArgument
from wherry.registry.errors import Unsupported
from wherry.registry.http import answer
from wherry.registry.http.body import NoBody, WireBody
from wherry.registry.http.message import Request, Response, failure
from wherry.registry.http.wire import Wire

_log = logging.getLogger(__name__)
CLIENT_GONE = 499
"""What the log says of a request whose client went before it was answered, as nginx does."""
_HEAD_END = b"\r\n\r\n"
_TLS_HANDSHAKE = b"\x16\x03"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one client may cost; sizes in bytes, times in seconds."""

    header: int = 64 * 1024
    header_time: float = 30.0
    """From a request's first byte to the end of its head."""
    idle: float = 300.0
    """Between two requests."""
    stall: float = 60.0
    """Without a byte of a body, or of an answer taken."""
    discarded: int = 256 * 1024
    """The rest of an unread body that is thrown away to keep the connection."""
    connections: int = 2048
    """At the limit the longest idle connection makes room; if none is idle the newcomer is told 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the connections of a server share."""

    handle: Callable[[Request], Response]
    """Answers a request; never raises but OSError about the client."""
    finished: Callable[[Request, int, int, float], None]
    """Told of each request that was answered: status, bytes of the answer's body sent, seconds."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every answer."""
    bounds: Bounds = field(default_factory=Bounds)


class Closing(Exception):
    """The connection ends, quietly."""


class Connection:
    """Run by a thread of its own."""

    def __init__(self, service: Service, wire: Wire, client: str, *, secure: bool) -> None:
        self._service = service
        self._wire = wire
        self._client = client
        self._secure = secure
        self._buffer = b""
        self._last = False
        self.idle_since: float | None = time.monotonic()
        """When the last answer went out, in seconds; None while a request is under way."""

    def run(self) -> None:
        """Serve until one side ends it."""
        try:
            while not self._last:
                self._serve_one()
            self._wire.linger()
        except (Closing, OSError, EOFError) as error:
            _log.debug("%s: %s", self._client, error)
        finally:
            self._wire.close()

    def leave(self) -> None:
        """End after the present answer, or now if there is none; from any thread."""
        self._last = True
        if self.idle_since is not None:
            self._wire.cut()

    def cut(self) -> None:
        """End now; from any thread."""
        self._last = True
        self._wire.cut()

    def refuse(self, status: int, message: str) -> None:
        """Answer what is no request, or cannot be served, and end in order."""
        self._last = True
        response = failure(Unsupported(message, status=status))
        with contextlib.suppress(OSError):
            answer.send(self._wire, response, self._service.headers, bare=False, old=False, keep=False)

    def _serve_one(self) -> None:
        raw = self._read_head()
        try:
            head = parse_head(raw)
            request, body = self._request(head)
        except BadRequest as error:
            self.refuse(error.status, f"malformed request: {error.detail}" if error.detail else "malformed request")
            return
        except InvalidArgument as error:
            self.refuse(400, f"malformed request: {error}")
            return
        self._answer(head, request, body)

    def _answer(self, head: Head, request: Request, body: NoBody | WireBody) -> None:
        began, sent = time.monotonic(), self._wire.sent - self._wire.heads
        status = CLIENT_GONE
        try:
            response = self._service.handle(request)
            status = response.status
            keep = head.keep_alive and not self._last and body.discard(self._service.bounds.discarded)
            bare = head.method == "HEAD"
            kept = answer.send(self._wire, response, self._service.headers, bare=bare, old=head.old, keep=keep)
        finally:
            sent = max(self._wire.sent - self._wire.heads - sent, 0)
            self._service.finished(request, status, sent, time.monotonic() - began)
        self._last = self._last or not kept
        self._buffer = body.rest() + self._buffer
        self.idle_since = time.monotonic()

    def _read_head(self) -> bytes:
        """The next head with its empty line. Raises Closing when none comes."""
        bounds = self._service.bounds
        began = 0.0
        while True:
            while self._buffer.startswith(b"\r\n"):
                self._buffer = self._buffer[2:]
            if self._buffer.startswith(_TLS_HANDSHAKE):
                # Clients try TLS first and would wait for their deadline: it has no end of head.
                self.refuse(400, "client sent a TLS handshake to a plain HTTP server")
                raise self._ended()
            end = self._buffer.find(_HEAD_END)
            if (len(self._buffer) if end < 0 else end) > bounds.header:
                self.refuse(431, f"request header is larger than the limit of {bounds.header} bytes")
                raise self._ended()
            if end >= 0:
                self.idle_since = None
                end += len(_HEAD_END)
                head, self._buffer = self._buffer[:end], self._buffer[end:]
                return head
            if self._buffer:
                began = began or time.monotonic()
                if time.monotonic() - began > bounds.header_time:
                    self.refuse(408, "request header took too long")
                    raise self._ended()
            self._buffer += self._wait()

    def _wait(self) -> bytes:
        """More bytes. Raises Closing at the end, or when the connection has been idle for long."""
        since = time.monotonic()
        while not self._last:
            try:
                data = self._wire.receive(64 * 1024)
            except (BlockingIOError, TimeoutError):
                if not self._buffer and time.monotonic() - since < self._service.bounds.idle:
                    continue
                raise Closing("idle") from None
            if not data:
                break
            return data
        raise Closing("ended")

    def _ended(self) -> Closing:
        self._wire.linger()
        return Closing("refused")

    def _request(self, head: Head) -> tuple[Request, NoBody | WireBody]:
        """Raises BadRequest, InvalidArgument."""
        body: NoBody | WireBody = NoBody()
        if head.framing is not None:
            ahead, self._buffer = self._buffer, b""
            continues = head.expects_continue
            body = WireBody(self._wire, head.framing, ahead, self._continue if continues else lambda: None)
        try:
            path = unquote_to_bytes(head.path).decode("utf-8")
            query = head.query.decode("ascii")
        except UnicodeDecodeError:
            raise BadRequest(400, "invalid character in the URL") from None
        request = Request(
            identifier=str(uuid.uuid4()),
            method=head.method,
            path=path,
            query=QueryString(query),
            headers=head.headers,
            client=self._client,
            secure=self._secure,
            target=(head.path + (b"?" + head.query if head.query else b"")).decode("latin-1"),
            protocol="HTTP/1.0" if head.old else "HTTP/1.1",
            body=body,
        )
        return request, body

    def _continue(self) -> None:
        self._wire.send(CONTINUE)
