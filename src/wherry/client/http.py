"""HTTP/1.1 over one socket: just what the Engine API needs, in a few milliseconds of import.

The standard library's client costs 60 ms to import. This one sends a request (with a body of known length, a file by
``sendfile`` or chunks), reads an answer (length, chunks, or until the end) piece by piece, and hands the socket over
when the daemon switches protocols. ``_socket`` is the C half of ``socket``: the Python half costs 15 ms and adds
nothing that we use.
"""

from __future__ import annotations

import os

from wherry.client.errors import ConnectionFailed, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Iterator, Mapping

    from wherry.client.address import Address
else:
    import _socket

HEAD_LIMIT = 64 << 10
PIECE = 64 << 10
_NO_BODY = frozenset({101, 204, 304})


class File:
    """A request body read from a descriptor; ``size`` is None when it is a pipe."""

    __slots__ = ("fd", "size")

    def __init__(self, fd: int, size: int | None) -> None:
        self.fd = fd
        self.size = size


class Connection:
    """One socket to the daemon; requests go over it one after the other."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._buffer = bytearray()
        self._socket = _connect(address)

    def close(self) -> None:
        """Close the socket; an answer still open ends with it."""
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor, for poll."""
        return self._socket.fileno()

    def pending(self) -> bool:
        """Whether bytes of an answer wait in our buffer, where poll cannot see them."""
        return bool(self._buffer)

    def detach(self) -> tuple[_socket.socket, bytes]:
        """Give the socket away, with what was read past the answer's head."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return self._socket, rest

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | File | None = None) -> None:
        """Send a request whole. The daemon may answer before it has read it: a broken pipe is not an error here."""
        lines = [f"{method} {target} HTTP/1.1", "Host: docker"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if isinstance(body, File):
            lines.append("Transfer-Encoding: chunked" if body.size is None else f"Content-Length: {body.size}")
        elif body is not None or method in {"POST", "PUT"}:
            lines.append(f"Content-Length: {len(body or b'')}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
        try:
            self._socket.sendall(head + body if isinstance(body, bytes) else head)
            if isinstance(body, File):
                self._send_file(body)
        except (BrokenPipeError, ConnectionResetError):
            return

    def _send_file(self, body: File) -> None:
        if body.size is None:
            while piece := os.read(body.fd, PIECE):
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            self._socket.sendall(b"0\r\n\r\n")
            return
        left = body.size
        while left and (sent := os.sendfile(self._socket.fileno(), body.fd, None, min(left, 1 << 30))):
            left -= sent

    def answer(self, method: str) -> Response:
        """Read the next answer's head; informational ones are skipped."""
        while True:
            status, headers = self._head()
            if status >= 200 or status == 101:
                return Response(self, status, headers, bodyless=method == "HEAD" or status in _NO_BODY)

    def _head(self) -> tuple[int, dict[str, str]]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise ProtocolError("the daemon's answer has no end of headers")
            if not self.fill():
                raise ProtocolError("EOF")
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, status = lines[0].partition(" ")
        if not version.startswith("HTTP/1.") or not status[:3].isdecimal():
            raise ProtocolError(f'malformed HTTP response "{lines[0]}"')
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(status[:3]), headers

    def fill(self) -> bool:
        """Read once from the socket into the buffer; False at its end."""
        try:
            data = self._socket.recv(PIECE)
        except ConnectionResetError:
            data = b""
        self._buffer += data
        return bool(data)

    def take(self, limit: int) -> bytes:
        """At most ``limit`` bytes, at least one unless the peer has ended."""
        if not self._buffer:
            try:
                return self._socket.recv(min(limit, PIECE))
            except ConnectionResetError:
                return b""
        data = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        return data

    def take_line(self) -> bytes:
        """Up to and without the next CRLF."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > HEAD_LIMIT or not self.fill():
                raise ProtocolError("unexpected EOF")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line


class Response:
    """An answer whose body is read as it comes."""

    def __init__(self, connection: Connection, status: int, headers: dict[str, str], *, bodyless: bool) -> None:
        self.status = status
        self.headers = headers
        self.connection = connection
        self._pieces = iter(()) if bodyless else self._body()

    @property
    def media_type(self) -> str:
        """Content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    def __iter__(self) -> Iterator[bytes]:
        """The body's pieces as they arrive."""
        return self._pieces

    def read(self, limit: int = 1 << 62) -> bytes:
        """The whole body, or a little more than ``limit`` of it."""
        parts, size = [], 0
        for piece in self._pieces:
            parts.append(piece)
            size += len(piece)
            if size > limit:
                break
        return b"".join(parts)

    def lines(self) -> Iterator[bytes]:
        """The body split at line feeds, empty lines left out."""
        rest = b""
        for piece in self._pieces:
            *whole, rest = (rest + piece).split(b"\n")
            yield from filter(bytes.strip, whole)
        if rest.strip():
            yield rest

    def fileno(self) -> int:
        """The socket, for poll."""
        return self.connection.fileno()

    def pending(self) -> bool:
        """Whether poll would miss bytes that are already here."""
        return self.connection.pending()

    def close(self) -> None:
        """Give up the rest of the body, and the connection."""
        self.connection.close()

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = self.headers.get("content-length")
        return self._until_end() if length is None else self._sized(int(length))

    def _sized(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.connection.take(left)
            if not piece:
                raise ProtocolError("unexpected EOF")
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.connection.take_line().partition(b";")[0], 16):
            yield from self._sized(size)
            self.connection.take_line()
        while self.connection.take_line():
            pass

    def _until_end(self) -> Iterator[bytes]:
        while piece := self.connection.take(PIECE):
            yield piece


def _connect(address: Address) -> _socket.socket:
    if address.path:
        return _dial(_socket.AF_UNIX, address.path, address)
    failure = ConnectionFailed(_unreachable(address))
    try:
        found = _socket.getaddrinfo(address.host, address.port, 0, _socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectionFailed(f"error during connect: lookup {address.host}: {error.strerror}") from error
    for family, _, _, _, target in found:
        try:
            sock = _dial(family, target, address)
        except ConnectionFailed as error:
            failure = error
            continue
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
        return sock
    raise failure


def _dial(family: int, target: str | tuple[object, ...], address: Address) -> _socket.socket:
    sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.connect(target)
    except PermissionError as error:
        sock.close()
        raise ConnectionFailed(
            f"permission denied while trying to connect to the wherry daemon socket at {address.text}: "
            f"dial unix {address.path}: connect: permission denied"
        ) from error
    except OSError as error:
        sock.close()
        raise ConnectionFailed(_unreachable(address)) from error
    return sock


def _unreachable(address: Address) -> str:
    return f"Cannot connect to the wherry daemon at {address.text}. Is the wherry daemon running?"
