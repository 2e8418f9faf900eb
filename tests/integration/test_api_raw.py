"""The Engine API at the level of bytes: versions, errors, hijacked streams, bounds."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from support.daemons import Daemon
from support.http import connect, exchange, frames, joined

JSON_POST = b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"


def made(daemon: Daemon, *cmd: str, **config: object) -> str:
    body = {"Image": "busybox", "Cmd": list(cmd), "HostConfig": {"NetworkMode": "none"}, **config}
    answer = daemon.api("POST", "/containers/create", body)
    assert answer.status == 201, answer.body
    return answer.json()["Id"]


def test_ping_tells_the_version(daemon: Daemon) -> None:
    for method in ("GET", "HEAD"):
        answer = daemon.api(method, "/_ping")
        assert answer.status == 200
        assert answer.body == (b"OK" if method == "GET" else b"")
        assert answer.headers["ostype"] == "linux"
        assert re.fullmatch(r"1\.\d\d", answer.headers["api-version"])
        assert answer.headers["cache-control"] == "no-cache, no-store, must-revalidate"


@pytest.mark.parametrize("version", ["1.24", "1.30", "1.41"])
def test_older_versions_are_spoken(daemon: Daemon, version: str) -> None:
    assert daemon.api("GET", f"/v{version}/containers/json").json() == []


@pytest.mark.ours
def test_the_newest_version(daemon: Daemon) -> None:
    assert daemon.api("GET", "/_ping").headers["api-version"] == "1.50"
    assert daemon.api("GET", "/v1.50/info").status == 200


def test_a_version_too_new_is_refused(daemon: Daemon) -> None:
    answer = daemon.api("GET", "/v1.99/info")
    assert answer.status == 400
    assert "client version 1.99 is too new. Maximum supported API version is" in answer.message


@pytest.mark.ours
def test_a_version_too_old_is_refused(daemon: Daemon) -> None:
    answer = daemon.api("GET", "/v1.20/info")
    assert answer.status == 400
    assert "client version 1.20 is too old. Minimum supported API version is 1.24" in answer.message


def test_an_unknown_page(daemon: Daemon) -> None:
    answer = daemon.api("GET", "/v1.41/no/such/thing")
    assert answer.status == 404
    assert answer.message == "page not found"


@pytest.mark.ours
@pytest.mark.parametrize("url", ["/swarm/init", "/build", "/services/create"])
def test_what_is_not_built_says_so(daemon: Daemon, url: str) -> None:
    """501 with the name of the thing, never a silent success."""
    answer = daemon.api("POST", url, {})
    assert answer.status == 501
    assert answer.message


def test_errors_are_json_with_a_message(daemon: Daemon) -> None:
    answer = daemon.api("GET", "/containers/nobody/json")
    assert (answer.status, answer.json()) == (404, {"message": "No such container: nobody"})
    assert answer.headers["content-type"].startswith("application/json")


def test_create_and_its_answer(daemon: Daemon) -> None:
    answer = daemon.api("POST", "/containers/create?name=named", {"Image": "busybox", "Cmd": ["true"]})
    assert answer.status == 201
    assert set(answer.json()) == {"Id", "Warnings"}
    assert answer.json()["Warnings"] == []


def test_states_answer_204_and_304(daemon: Daemon) -> None:
    name = made(daemon, "sleep", "60")
    assert daemon.api("POST", f"/containers/{name}/start").status == 204
    assert daemon.api("POST", f"/containers/{name}/start").status == 304
    assert daemon.api("POST", f"/containers/{name}/pause").status == 204
    assert daemon.api("POST", f"/containers/{name}/unpause").status == 204
    assert daemon.api("POST", f"/containers/{name}/stop?t=0").status == 204
    assert daemon.api("POST", f"/containers/{name}/stop").status == 304
    assert daemon.api("POST", f"/containers/{name}/restart?t=0").status == 204
    assert daemon.api("POST", f"/containers/{name}/kill?signal=KILL").status == 204
    assert daemon.api("DELETE", f"/containers/{name}?force=1").status == 204
    assert daemon.api("DELETE", f"/containers/{name}").status == 404


def test_attach_is_upgraded_and_framed(daemon: Daemon) -> None:
    """101, then frames of eight bytes of header; stdout 1, stderr 2; our half-close ends the program's input."""
    name = made(daemon, "sh", "-c", "cat; echo err >&2", AttachStdin=True, OpenStdin=True, StdinOnce=True)
    with daemon.hijack(f"/containers/{name}/attach?stdin=1&stdout=1&stderr=1&stream=1") as stream:
        assert stream.status == 101
        assert "upgrade: tcp" in stream.head.lower()
        if daemon.kind == "wherryd":
            assert "application/vnd.docker.multiplexed-stream" in stream.head
        assert daemon.api("POST", f"/containers/{name}/start").status == 204
        stream.send(b"typed")
        stream.close_write()
        received = stream.read_all()
    assert joined(received, 1) == b"typed"
    assert joined(received, 2) == b"err\n"


def test_attach_without_upgrade_is_200(daemon: Daemon) -> None:
    """Old clients that send no Upgrade header get 200 and the raw stream."""
    name = made(daemon, "echo", "hi")
    head = f"POST /containers/{name}/attach?stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
    with connect(daemon.socket) as sock:
        sock.sendall(head.encode())
        received = sock.recv(4096)
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert daemon.api("POST", f"/containers/{name}/start").status == 204
        while chunk := sock.recv(4096):
            received += chunk
    assert received.endswith(b"\x01\0\0\0\0\0\0\x03hi\n")


def test_a_terminals_stream_is_raw(daemon: Daemon) -> None:
    name = made(daemon, "sh", "-c", "echo out; echo err >&2", Tty=True)
    with daemon.hijack(f"/containers/{name}/attach?stdout=1&stderr=1&stream=1") as stream:
        daemon.api("POST", f"/containers/{name}/start")
        assert stream.read_all() == b"out\r\nerr\r\n"


def test_attach_with_logs_replays(daemon: Daemon) -> None:
    """logs=1 gives what was printed before, then the rest."""
    name = made(daemon, "sh", "-c", "echo before; sleep 0.8; echo after")
    daemon.api("POST", f"/containers/{name}/start")
    time.sleep(0.4)
    with daemon.hijack(f"/containers/{name}/attach?stdout=1&stream=1&logs=1") as stream:
        assert joined(stream.read_all(), 1) == b"before\nafter\n"


def test_two_attached_see_the_same(daemon: Daemon) -> None:
    name = made(daemon, "seq", "2000")
    url = f"/containers/{name}/attach?stdout=1&stream=1"
    with daemon.hijack(url) as first, daemon.hijack(url) as second:
        daemon.api("POST", f"/containers/{name}/start")
        expected = "".join(f"{number}\n" for number in range(1, 2001)).encode()
        assert joined(first.read_all(), 1) == expected
        assert joined(second.read_all(), 1) == expected


def test_exec_start_takes_its_body_and_streams(daemon: Daemon) -> None:
    """The upgrade comes with a JSON body, and the stream begins after it."""
    name = made(daemon, "sleep", "60")
    daemon.api("POST", f"/containers/{name}/start")
    config = {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True}
    exec_id = daemon.api("POST", f"/containers/{name}/exec", config).json()["Id"]
    with daemon.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}) as stream:
        assert stream.status == 101
        stream.send(b"x" * 100_000)
        stream.close_write()
        assert joined(stream.read_all(), 1) == b"x" * 100_000
    again = daemon.api("POST", f"/exec/{exec_id}/start", {"Detach": True})
    assert again.status in {404, 409}


def test_resize(daemon: Daemon) -> None:
    name = made(daemon, "sh", "-c", "read x; stty size", Tty=True, OpenStdin=True, AttachStdin=True)
    with daemon.hijack(f"/containers/{name}/attach?stdin=1&stdout=1&stream=1") as stream:
        daemon.api("POST", f"/containers/{name}/start")
        assert daemon.api("POST", f"/containers/{name}/resize?h=12&w=34").status == 200
        stream.send(b"\n")
        assert b"12 34\r\n" in stream.read_until(b"34\r\n")
    bad = daemon.api("POST", f"/containers/{name}/resize?h=tall&w=34")
    assert bad.status == 400


def test_logs_are_framed(daemon: Daemon) -> None:
    name = made(daemon, "sh", "-c", "echo out; echo err >&2")
    daemon.api("POST", f"/containers/{name}/start")
    daemon.api("POST", f"/containers/{name}/wait")
    body = daemon.api("GET", f"/containers/{name}/logs?stdout=1&stderr=1").body
    assert sorted(frames(body)) == [(1, b"out\n"), (2, b"err\n")]


def test_requests_share_a_connection(daemon: Daemon) -> None:
    """Keep-alive: several requests one after the other on one socket."""
    with connect(daemon.socket) as sock:
        for _ in range(3):
            sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
            received = b""
            while not received.endswith(b"OK"):
                received += sock.recv(4096)
            assert received.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_chunked_body(daemon: Daemon) -> None:
    body = json.dumps({"Name": "chunked"}).encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (1, body[at : at + 1]) for at in range(len(body))) + b"0\r\n\r\n"
    head = JSON_POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert exchange(daemon.socket, head + pieces).startswith(b"HTTP/1.1 201 Created\r\n")


def test_a_body_that_announces_itself(daemon: Daemon) -> None:
    """Expect: 100-continue is answered before the body is sent."""
    body = json.dumps({"Name": "expected"}).encode()
    with connect(daemon.socket) as sock:
        sock.sendall(JSON_POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body))
        assert sock.recv(4096).startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(body)
        assert sock.recv(4096).startswith(b"HTTP/1.1 201 Created\r\n")


def test_many_at_once(daemon: Daemon) -> None:
    """A hundred clients at the same time are all answered."""
    results: list[int] = []

    def ask() -> None:
        results.append(daemon.api("GET", "/containers/json").status)

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 100


def test_twenty_starts_at_once(daemon: Daemon) -> None:
    """Concurrent creates and starts all succeed, each with its own address."""
    names: list[str] = []

    def begin() -> None:
        names.append(daemon.out("run", "-d", "busybox", "sleep", "60"))

    threads = [threading.Thread(target=begin) for _ in range(20 if daemon.kind == "wherryd" else 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    addresses = {daemon.inspect(name)["NetworkSettings"]["IPAddress"] for name in names}
    assert len(addresses) == len(names) == len(threads)


def resident(pid: int) -> int:
    """A process's resident memory in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_a_slow_reader_holds_only_itself(daemon: Daemon) -> None:
    """A client that does not read its logs neither blocks the daemon nor fills its memory."""
    name = made(daemon, "sh", "-c", "yes | head -c 30000000")
    daemon.api("POST", f"/containers/{name}/start")
    with connect(daemon.socket) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(f"GET /containers/{name}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        time.sleep(1)
        begun = time.monotonic()
        assert daemon.api("GET", "/_ping").status == 200
        assert daemon.api("GET", "/containers/json").status == 200
        assert time.monotonic() - begun < 1
        assert resident(daemon.pid) < 300_000
