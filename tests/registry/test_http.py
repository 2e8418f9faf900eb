"""The registry's HTTP server: framing, order, limits, and ends, with handlers of the test's own."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.ours import read_all
from wherry.registry.filesystem import FilesystemDriver
from wherry.registry.http.connection import Bounds, Service
from wherry.registry.http.message import Request, Response, Stretch
from wherry.registry.http.server import Server
from wherry.registry.listening import listen

Handler = Callable[[Request], Response]
Serve = Callable[..., "Port"]


class Port:
    """Where a test's server listens."""

    def __init__(self, port: int) -> None:
        self.number = port

    def open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.number), timeout=10)

    def ask(self, raw: bytes) -> bytes:
        """Everything that is answered until the server ends the connection."""
        with self.open() as sock:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def start(handle: Handler, **bounds: float) -> Port:
        service = Service(handle=handle, finished=lambda *_: None, bounds=Bounds(**bounds))  # type: ignore[arg-type]
        server = Server(service)
        listener = listen("tcp", "127.0.0.1:0")
        port = Port(listener.getsockname()[1])
        server.serve(listener)
        servers.append(server)
        return port

    yield start
    for server in servers:
        server.close(0)


def _get(path: str = "/", *fields: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *fields, "", ""]).encode()


def _echo(request: Request) -> Response:
    return Response(body=f"{request.method} {request.path} ".encode() + request.body.read(1 << 20))


def test_requests_sent_ahead(serve: Serve) -> None:
    """Several requests in one packet are answered one after the other, bodies and chunks between them."""
    chunked = _get("/b", "Transfer-Encoding: chunked", method="PUT") + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n"
    raw = _get("/a", "Content-Length: 2", method="PUT") + b"xy" + b"\r\n" + chunked + _get("/c")
    answer = serve(_echo).ask(raw)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"PUT /a xy",
        b"PUT /b abcde",
        b"GET /c ",
    ]


def test_byte_by_byte(serve: Serve) -> None:
    """However a request is cut, it is the same."""
    with serve(_echo).open() as sock:
        for byte in _get("/a", "Content-Length: 2", "Connection: close", method="PUT") + b"xy":
            sock.sendall(bytes([byte]))
        assert read_all(sock).endswith(b"PUT /a xy")


def test_expect_continue(serve: Serve) -> None:
    """A client that waits to be told is told once the body is wanted, and not when it is not."""
    field = "Expect: 100-continue"
    with serve(_echo).open() as sock:
        sock.sendall(_get("/a", "Content-Length: 2", field, method="PUT"))
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"xy")
        assert sock.recv(1000).endswith(b"PUT /a xy")
    answer = serve(lambda _: Response(status=404)).ask(_get("/a", "Content-Length: 2", field, method="PUT"))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"Connection: close" in answer


def test_answer_before_the_body_ends(serve: Serve) -> None:
    """A client that is refused while it sends gets to read why."""
    with serve(lambda _: Response(status=404, body=b"no")).open() as sock:
        sock.sendall(_get("/a", "Content-Length: 8000000", method="PUT"))
        sock.sendall(b"x" * 4_000_000)
        assert sock.recv(10_000).endswith(b"\r\n\r\nno")


def test_old_clients(serve: Serve) -> None:
    """HTTP/1.0: no chunks, and the end of the body is the end of the connection."""
    port = serve(lambda _: Response(body=iter([b"a", b"b"])))
    assert port.ask(_get(version="1.0")).endswith(b"\r\n\r\nab")
    assert b"chunked" not in port.ask(_get(version="1.0"))
    assert port.ask(_get("/", "Connection: close")).endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


def test_head(serve: Serve) -> None:
    """HEAD has the length of the body and not the body; the connection goes on."""
    port = serve(lambda request: Response(length=99) if request.method == "HEAD" else Response(body=b"x"))
    answer = port.ask(_get(method="HEAD") + _get())
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"Content-Length: 99\r\n" in answer


@pytest.mark.parametrize("pieces", [[b"abc"], [b"abcdef", b"g"]], ids=["short", "long"])
def test_body_of_another_length(serve: Serve, pieces: list[bytes]) -> None:
    """A body that turns out to be another than was announced ends the connection: no client takes it for whole."""
    answer = serve(lambda _: Response(body=iter(pieces), length=6)).ask(_get() + _get())
    assert answer.count(b"HTTP/1.1") == 1
    assert len(answer.partition(b"\r\n\r\n")[2]) <= 6


def test_file_that_has_shrunk(serve: Serve, tmp_path: Path) -> None:
    """A blob truncated while it is sent ends the connection, and is closed."""
    driver = FilesystemDriver(str(tmp_path))
    driver.write("file", b"x" * 1000)

    def shrunk(_: Request) -> Response:
        reader = driver.open("file")
        os.truncate(tmp_path / "file", 100)
        return Response(body=Stretch(reader, 0, 1000))

    before = len(os.listdir("/proc/self/fd"))
    answer = serve(shrunk).ask(_get() + _get())
    assert answer.count(b"HTTP/1.1") == 1
    assert len(answer.partition(b"\r\n\r\n")[2]) == 100
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the listener's


def test_newcomer_at_the_limit(serve: Serve) -> None:
    """The longest idle connection makes room; where none is idle the newcomer is told 503."""
    working, go_on = threading.Semaphore(0), threading.Event()

    def work(_: Request) -> Response:
        working.release()
        go_on.wait(10)
        return Response(body=b"done")

    port = serve(work, connections=2)
    with port.open() as idle, port.open() as first:
        first.sendall(_get())
        assert working.acquire(timeout=10)
        with port.open() as second:
            second.sendall(_get())
            assert working.acquire(timeout=10)
            assert idle.recv(100) == b""
            with port.open() as third:
                refusal = third.recv(10_000)
            assert refusal.startswith(b"HTTP/1.1 503 ")
            assert b'"too many connections"' in refusal
            go_on.set()
            assert first.recv(1000).endswith(b"done")
            assert second.recv(1000).endswith(b"done")


def test_head_that_takes_too_long(serve: Serve) -> None:
    """A client that drips its head is told 408."""
    with serve(_echo, header_time=0.2).open() as sock:
        answer = b""
        sock.settimeout(0.05)
        for byte in _get("/" + "a" * 5000):
            try:
                sock.sendall(bytes([byte]))
                answer = sock.recv(10_000)
            except TimeoutError:
                continue
            break
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_idle_connection_is_ended(serve: Serve) -> None:
    """A connection without a request goes after a while."""
    with serve(_echo, stall=1, idle=0.5).open() as sock:
        assert sock.recv(100) == b""


def test_slow_reader_holds_the_server_back(serve: Serve) -> None:
    """What a client does not take is not produced."""
    produced = []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            produced.append(number)
            yield b"x" * 100_000

    with serve(lambda _: Response(body=pieces())).open() as sock:
        sock.sendall(_get())
        sock.recv(1000)
        threading.Event().wait(0.3)
        assert len(produced) < 500
