"""HTTP exchanges over kept connections. Knows nothing of registries: no credentials, no meaning; follows nowhere."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from wherry.diff.errors import Stopped
from wherry.lib.errors import InvalidArgument
from wherry.transfer.remote.body import NOTHING, Body, Plain
from wherry.transfer.remote.connection import Connection, Route, dial, hang_up, mapped
from wherry.transfer.remote.faults import Broken, Fault
from wherry.transfer.remote.proxies import Proxies
from wherry.transfer.remote.stop import Stop
from wherry.transfer.remote.tls import Contexts
from wherry.transfer.remote.url import Url

IDLE_MAX = 8
"""Connections to one origin that are kept for later."""
IDLE_SECONDS = 60.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
READ_SECONDS = 300.0
"""A whole small body, however it drips."""
DRAIN_MAX = 64 * 1024
"""A body's rest up to this size is read so that the connection can be kept."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. ``timeout`` is how long the other side may be silent, in seconds."""

    method: str
    url: Url
    headers: Mapping[str, str]
    body: Body
    timeout: float
    stop: Stop


class Response:
    """An answer whose body is still to be read. A context manager; closing gives the connection back or hangs up."""

    def __init__(
        self, asked: Asked, answer: http.client.HTTPResponse, connection: Connection, *, pool: Transport, route: Route
    ) -> None:
        self.url = asked.url
        self.status = answer.status
        self.reason = answer.reason
        self.headers = answer.headers
        self.length: int | None = None if answer.chunked else answer.length
        """Bytes of the body that are still to come; None when they are not known beforehand."""
        self._answer = answer
        self._connection: Connection | None = connection
        self._pool = pool
        self._stop = asked.stop
        self._route = route
        self._ended = self.length == 0

    def header(self, name: str) -> str:
        """A header's value, empty when it is not there."""
        return self.headers.get(name, "")

    @property
    def redirects(self) -> bool:
        """Whether it sends to another address (RFC 9110, 15.4)."""
        return self.status in REDIRECTS and bool(self.header("Location"))

    def linked(self, address: str) -> Url:
        """Where a ``Location`` or ``Link`` of this answer leads. Raises Fault."""
        try:
            return self.url.join(address)
        except InvalidArgument as error:
            raise Fault(error.message, retry=False) from None

    def readinto(self, view: memoryview) -> int:
        """The next bytes, straight from the socket; 0 at the end. Raises Broken, Unreachable, Stopped."""
        if self._ended or not view:
            return 0
        try:
            with mapped():
                count = self._receive(view)
        except Fault:
            self._stop.check()
            raise
        if count == 0:
            self._stop.check()
            if self.length:
                raise Broken("unexpected EOF")
            self._ended = True
        elif self.length is not None:
            self.length -= count
            self._ended = self.length == 0
        return count

    def _receive(self, view: memoryview) -> int:
        if self._answer.chunked or self._answer.fp is None:
            return self._answer.readinto(view)
        wanted = view if self.length is None else view[: self.length]
        # Past what came with the head, this is one recv_into of the caller's buffer.
        return self._answer.fp.readinto1(wanted)

    def read(self, limit: int) -> bytes:
        """The whole body. Raises Broken when it is larger than ``limit``."""
        buffer = bytearray(min(limit, 64 * 1024) + 1)
        data = bytearray()
        until = time.monotonic() + READ_SECONDS
        while count := self.readinto(memoryview(buffer)):
            if time.monotonic() > until:
                raise Broken("net/http: request canceled (Client.Timeout or context cancellation while reading body)")
            data += memoryview(buffer)[:count]
            if len(data) > limit:
                raise Broken(f"response body is larger than the limit of {limit} bytes")
        return bytes(data)

    def read_some(self, limit: int) -> bytes:
        """The beginning of the body, at most ``limit`` bytes; of one that breaks, what came."""
        buffer = memoryview(bytearray(limit))
        filled = 0
        with suppress(Fault):
            while filled < limit and (count := self.readinto(buffer[filled:])):
                filled += count
        return bytes(buffer[:filled])

    def close(self) -> None:
        """Keep the connection when nothing is left on it, else hang up."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not self._ended and self.length is not None and self.length <= DRAIN_MAX:
            with suppress(Fault, Stopped):
                buffer = memoryview(bytearray(DRAIN_MAX))
                while self.readinto(buffer):
                    pass
        keep = self._ended and not self._answer.will_close and not self._stop.is_set()
        self._stop.unwatch(connection.sock)
        if keep:
            self._answer.close()
            self._pool.keep(self._route, connection)
        else:
            hang_up(connection)
            self._answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Transport:
    """Connections of one daemon to every registry. Thread-safe."""

    def __init__(self, contexts: Contexts, proxies: Proxies, *, connect_timeout: float, user_agent: str) -> None:
        self._contexts = contexts
        self._proxies = proxies
        self._connect_timeout = connect_timeout
        self._user_agent = user_agent
        self._lock = threading.Lock()
        self._idle: dict[Route, list[Connection]] = {}

    def send(
        self,
        method: str,
        url: Url,
        headers: Mapping[str, str],
        body: Body = NOTHING,
        *,
        verify: bool,
        timeout: float,
        stop: Stop,
    ) -> Response:
        """One exchange, up to the head of its answer. Raises Unreachable, Broken, Stopped, InvalidArgument."""
        context = self._contexts.context(url.netloc, verify=verify) if url.scheme == "https" else None
        route = Route(url.at("/"), context, self._proxies.proxy_for(url))
        asked = Asked(method, url, headers, body, timeout, stop)
        kept = self._take(route) if body.again else None
        if kept is not None:
            try:
                return self._exchange(kept, route, asked)
            except Broken:
                # The other side may have hung up just then, which is no failure of this request. A large body is not
                # sent twice without anybody knowing.
                stop.check()
                if not isinstance(body, Plain):
                    raise
        return self._exchange(dial(route, min(self._connect_timeout, timeout), stop), route, asked)

    def _exchange(self, connection: Connection, route: Route, asked: Asked) -> Response:
        try:
            asked.stop.watch(connection.sock)
            connection.sock.settimeout(asked.timeout)
            with mapped():
                self._write_head(connection, route, asked)
                answer = _finish(connection, asked.body)
            return Response(asked, answer, connection, pool=self, route=route)
        except BaseException as error:
            asked.stop.unwatch(connection.sock)
            hang_up(connection)
            if isinstance(error, Fault):
                asked.stop.check()
            raise

    def _write_head(self, connection: Connection, route: Route, asked: Asked) -> None:
        proxy = route.proxy if not route.tunnelled else None
        target = str(asked.url) if proxy else asked.url.target
        connection.putrequest(asked.method, target, skip_host=True, skip_accept_encoding=True)
        fixed = {"Host": asked.url.netloc, "User-Agent": self._user_agent, "Accept-Encoding": "identity"}
        if proxy and proxy.authorization:
            fixed["Proxy-Authorization"] = proxy.authorization
        lengths = asked.body.headers if asked.method in {"POST", "PUT", "PATCH"} else {}
        for name, value in {**fixed, **asked.headers, **lengths}.items():
            connection.putheader(name, value)
        connection.endheaders()

    def _take(self, route: Route) -> Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(route)
                if not idle:
                    return None
                connection = idle.pop()
            if time.monotonic() - connection.idle_since < IDLE_SECONDS and not connection.stale:
                return connection
            hang_up(connection)

    def keep(self, route: Route, connection: Connection) -> None:
        """Take back a connection on which nothing is left."""
        now = connection.idle_since = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(route, [])
            old = [one for one in idle if now - one.idle_since >= IDLE_SECONDS]
            idle[:] = [one for one in idle if one not in old]
            surplus = len(idle) >= IDLE_MAX
            if not surplus:
                idle.append(connection)
        for one in old:
            hang_up(one)
        if surplus:
            hang_up(connection)

    def close(self) -> None:
        """Hang up on everyone that nobody is talking to."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connection in (one for kept in idle.values() for one in kept):
            hang_up(connection)


def _finish(connection: Connection, body: Body) -> http.client.HTTPResponse:
    """Send the body and get the head of the answer, which may come, as a refusal, before the body is through."""
    try:
        body.send(connection.sock)
    except (BrokenPipeError, ConnectionResetError):
        try:
            return connection.getresponse()
        except (OSError, http.client.HTTPException):
            pass
        raise
    return connection.getresponse()
