"""Connections: dialled directly or through a proxy, with TLS or without, watched so that they can be given up.

http.client reads and writes the heads (it bounds lines and their number); bodies go past it, straight between the
socket and the caller's buffer or file.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from wherry.transfer.remote.faults import Broken, Unreachable, unreachable
from wherry.transfer.remote.proxies import Proxy
from wherry.transfer.remote.stop import Stop
from wherry.transfer.remote.url import Url

CONNECTED = 200


class Connection(http.client.HTTPConnection):
    """One connection; ``sock`` is open from the beginning. Not thread-safe: it serves one exchange at a time."""

    auto_open = 0
    sock: socket.socket

    def __init__(self, opened: socket.socket, url: Url) -> None:
        super().__init__(url.host, url.port)
        self.sock = opened
        self.idle_since = 0.0

    @property
    def stale(self) -> bool:
        """Whether the other side has hung up, or said something that nobody asked for."""
        try:
            return bool(select.select([self.sock], [], [], 0)[0])
        except (OSError, ValueError):
            return True


@dataclass(frozen=True, slots=True)
class Route:
    """The way to an origin. ``context`` is None for plain HTTP."""

    url: Url
    context: ssl.SSLContext | None
    proxy: Proxy | None = None

    @property
    def tunnelled(self) -> bool:
        """Whether the proxy only passes bytes on (RFC 9110, 9.3.6)."""
        return self.proxy is not None and self.context is not None


def dial(route: Route, timeout: float, stop: Stop) -> Connection:
    """A new connection. Raises Unreachable, Stopped."""
    if route.proxy and route.tunnelled and route.proxy.url.scheme == "https":
        raise Unreachable("proxyconnect tcp: an https proxy cannot carry https here: use its http address", retry=False)
    first = route.proxy.url if route.proxy else route.url
    try:
        opened = _connect(first.host, first.port, timeout, stop)
    except Unreachable as fault:
        if route.proxy:
            fault.prefix = "proxyconnect tcp: " + fault.prefix
        raise
    try:
        if route.proxy and route.proxy.url.scheme == "https":
            opened = _secure(opened, ssl.create_default_context(), route.proxy.url.host, stop)
        if route.proxy and route.tunnelled:
            _tunnel(opened, route.url, route.proxy, stop)
        if route.context is not None:
            opened = _secure(opened, route.context, route.url.host, stop)
    except BaseException:
        opened.close()
        raise
    return Connection(opened, route.url)


def _connect(host: str, port: int, timeout: float, stop: Stop) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        failure = error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, str(error))
        raise unreachable(failure, f"{host}:{port}") from None
    fault = Unreachable(f"dial tcp: lookup {host}: no such host")
    for family, kind, protocol, _, address in found:
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(timeout)
            with stop.watching(opened):
                opened.connect(address)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            opened.close()
            shown = f"[{address[0]!s}]" if family == socket.AF_INET6 else str(address[0])
            fault = unreachable(error, f"{shown}:{port}")
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise fault


def _secure(opened: socket.socket, context: ssl.SSLContext, host: str, stop: Stop) -> ssl.SSLSocket:
    """TLS on an open socket, which belongs to the result from then on."""
    wrapped = context.wrap_socket(opened, server_hostname=host, do_handshake_on_connect=False)
    try:
        with stop.watching(wrapped):
            wrapped.do_handshake()
    except TimeoutError:
        wrapped.close()
        raise Unreachable("net/http: TLS handshake timeout") from None
    except OSError as error:
        wrapped.close()
        raise unreachable(error) from None
    except BaseException:
        wrapped.close()
        raise
    return wrapped


def _tunnel(opened: socket.socket, url: Url, proxy: Proxy, stop: Stop) -> None:
    authority = f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
    if proxy.authorization:
        head += f"Proxy-Authorization: {proxy.authorization}\r\n"
    answer = http.client.HTTPResponse(opened, method="CONNECT")
    with stop.watching(opened), mapped():
        opened.sendall(f"{head}\r\n".encode())
        answer.begin()
        if answer.status != CONNECTED:
            raise Unreachable(answer.reason or f"proxy answered {answer.status}")


@contextmanager
def mapped() -> Iterator[None]:
    """What http.client and the socket raise, as faults."""
    try:
        yield
    except http.client.RemoteDisconnected:
        raise Broken("EOF") from None
    except http.client.BadStatusLine as error:
        raise Broken(f"net/http: HTTP/1.x transport connection broken: {_malformed(str(error))}") from None
    except http.client.IncompleteRead:
        raise Broken("unexpected EOF") from None
    except http.client.HTTPException as error:
        raise Broken(f"net/http: HTTP/1.x transport connection broken: {error or type(error).__name__}") from None
    except (ConnectionResetError, BrokenPipeError) as error:
        raise Broken((error.strerror or "connection reset by peer").lower()) from None
    except OSError as error:
        raise unreachable(error) from None


def _malformed(line: str) -> str:
    """What Go says of a status line that is none."""
    line = line.strip().strip("'\"")[:200]
    version, space, rest = line.partition(" ")
    code = rest.lstrip().partition(" ")[0]
    if not space:
        return f'malformed HTTP response "{line}"'
    if len(code) != 3 or not code.isdigit():
        return f'malformed HTTP status code "{code}"'
    return f'malformed HTTP version "{version}"'


def hang_up(connection: Connection) -> None:
    """Close for good."""
    with suppress(OSError):
        connection.close()
