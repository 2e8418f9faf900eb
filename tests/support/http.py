"""The Engine API as bytes: one request per connection, nothing hidden by a client library."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        """A body that is one JSON document per line."""
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]

    @property
    def message(self) -> str:
        """The words of an error."""
        return self.json()["message"]


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.unix_path = path

    def connect(self) -> None:
        self.sock = connect(self.unix_path, self.timeout)


def connect(path: str, timeout: float | None = 10) -> socket.socket:
    """A connected stream socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def call(
    path: str, method: str, url: str, body: Any = None, *, headers: dict[str, str] | None = None, timeout: float = 30
) -> Answer:
    """One request. A body that is not bytes is sent as JSON."""
    sent = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, url, body=body, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def exchange(path: str, request: bytes, *, timeout: float = 5) -> bytes:
    """Send exact bytes and read until the server closes or goes quiet."""
    with connect(path, timeout) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused early: the answer may still be there
            sock.sendall(request)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while chunk := sock.recv(65536):
                received += chunk
        return received


class Hijacked:
    """A connection that the daemon handed over: attach or exec start, after the 101."""

    def __init__(self, path: str, url: str, body: Any = None, *, timeout: float = 10) -> None:
        self.sock = connect(path, timeout)
        payload = b"" if body is None else json.dumps(body).encode()
        head = (
            f"POST {url} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        self.sock.sendall(head.encode() + payload)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = self.sock.recv(4096)
            if not chunk:
                break
            received += chunk
        headers, _, self.early = received.partition(b"\r\n\r\n")
        self.head = headers.decode()
        self.status = int(self.head.split()[1])

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close_write(self) -> None:
        """Half-close: the program inside reads end of file, its output still comes."""
        self.sock.shutdown(socket.SHUT_WR)

    def read_all(self) -> bytes:
        """Everything up to the daemon's end of file."""
        received, self.early = self.early, b""
        while chunk := self.sock.recv(65536):
            received += chunk
        return received

    def read_until(self, mark: bytes) -> bytes:
        """What came up to and with ``mark``."""
        received, self.early = self.early, b""
        while mark not in received:
            chunk = self.sock.recv(65536)
            if not chunk:
                raise AssertionError(f"the stream ended before {mark!r}: {received!r}")
            received += chunk
        return received

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def frames(stream: bytes) -> list[tuple[int, bytes]]:
    """Split Docker's multiplexed stream: a header of eight bytes (stream, 0, 0, 0, length big-endian), the payload."""
    found = []
    while stream:
        kind, size = stream[0], int.from_bytes(stream[4:8], "big")
        assert stream[1:4] == b"\0\0\0", f"not a frame header: {stream[:8]!r}"
        assert len(stream) >= 8 + size, "the last frame is cut"
        found.append((kind, stream[8 : 8 + size]))
        stream = stream[8 + size :]
    return found


def joined(stream: bytes, kind: int) -> bytes:
    """One stream's bytes out of a multiplexed one."""
    return b"".join(payload for stream_kind, payload in frames(stream) if stream_kind == kind)
