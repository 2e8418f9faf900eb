"""HTTP answers as daemons and hostile peers write them, over a real socket."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from wherry.client.address import parse_host
from wherry.client.client import Client
from wherry.client.errors import ApiError, ConnectionFailed, ProtocolError
from wherry.client.http import Connection, File


@contextmanager
def peer(tmp_path, *answers, until=b"\r\n\r\n"):
    """A server that reads a request to its end, sends the next answer and hangs up."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    server.listen()
    heard = []

    def serve():
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                request = b""
                while not request.endswith(until) and (data := connection.recv(65536)):
                    request += data
                heard.append(request)
                with suppress(BrokenPipeError):
                    connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"unix://{tmp_path}/s", heard
    finally:
        thread.join(timeout=5)
        server.close()


@contextmanager
def asked(host):
    connection = Connection(parse_host(host))
    try:
        connection.send("GET", "/x", {"A": "b"})
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: x\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_bodies_are_read_whatever_their_framing(tmp_path, answer, body):
    with peer(tmp_path, answer) as (host, heard), asked(host) as connection:
        assert connection.answer("GET").read() == body
    assert heard == [b"GET /x HTTP/1.1\r\nHost: docker\r\nA: b\r\n\r\n"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 xyz\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000,
    ],
)
def test_a_broken_answer_is_a_protocol_error(tmp_path, answer):
    with peer(tmp_path, answer) as (host, _), asked(host) as connection, pytest.raises(ProtocolError):
        connection.answer("GET").read()


def test_lines_are_cut_across_pieces(tmp_path):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n4\r\nc\n\nd\r\n0\r\n\r\n"
    with peer(tmp_path, answer) as (host, _), asked(host) as connection:
        assert list(connection.answer("GET").lines()) == [b"a", b"bc", b"d"]


def test_a_pipe_goes_out_in_chunks_and_a_file_with_its_length(tmp_path):
    (tmp_path / "f").write_bytes(b"file body")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    read, write = os.pipe()
    os.write(write, b"pipe body")
    os.close(write)
    ends = (b"\r\n0\r\n\r\n", b"file body")
    with peer(tmp_path, answer, answer, until=ends) as (host, heard), open(tmp_path / "f", "rb") as file:
        for body in (File(read, None), File(file.fileno(), 9)):
            connection = Connection(parse_host(host))
            connection.send("POST", "/", {}, body)
            connection.answer("POST").read()
            connection.close()
    os.close(read)
    whole = b"".join(heard)
    assert b"Transfer-Encoding: chunked\r\n\r\n9\r\npipe body\r\n0\r\n\r\n" in whole
    assert b"Content-Length: 9\r\n\r\nfile body" in whole


def test_nobody_there_names_the_address(tmp_path):
    with pytest.raises(
        ConnectionFailed, match=r"Cannot connect to the wherry daemon at unix:///.*/nope\. Is the wherry"
    ):
        Connection(parse_host(f"unix://{tmp_path}/nope"))


PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            b'HTTP/1.1 404 X\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{"message": "gone"}',
            "gone",
        ),
        (b"HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nboom", "boom"),
        (b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n", "request returned 502"),
        (
            b"HTTP/1.1 500 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "but provided no error-message",
        ),
    ],
)
def test_a_refusal_carries_the_daemons_words(tmp_path, answer, message):
    with peer(tmp_path, PING, answer) as (host, heard):
        client = Client(host)
        with pytest.raises(ApiError, match=f"Error response from daemon: .*{message}"):
            client.call("POST", "/x", {"a": "b c"})
        assert client.version == "1.44"
        client.close()
    assert heard[1].startswith(b"POST /v1.44/x?a=b%20c HTTP/1.1\r\n")


def test_an_answer_of_another_shape_is_a_protocol_error(tmp_path):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"
    with peer(tmp_path, PING, answer, answer) as (host, _):
        client = Client(host)
        with pytest.raises(ProtocolError, match="not a JSON object"):
            client.json_object("GET", "/info")
        assert client.json_list("GET", "/x") == []
        client.close()
