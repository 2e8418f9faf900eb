"""Hijacked connections: attach and exec, both directions, each with its own end."""

from __future__ import annotations

import asyncio
import json

import pytest

from unit.api.processes import Containers, Execs
from unit.api.serving import on_uvloop, serving, soon
from wherry.api.routes import container
from wherry.api.routes import exec as exec_routes
from wherry.api.server.routing import Route, Taken
from wherry.wire.exec import ExecCreate

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        found.append((data[at], data[at + 8 : at + 8 + size]))
        at += 8 + size
    return found


def joined(data: bytes, stream: int) -> bytes:
    return b"".join(payload for number, payload in frames(data) if number == stream)


async def hijacked(client, target, body=None, after=b"", **headers):
    """Send a request for a stream, with what follows it at once; the answer's head."""
    lines = [f"POST {target} HTTP/1.1", "Host: d", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    await client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"") + after)
    return await client.head()


ATTACH = "/containers/x/attach?stream=1&stdin=1&stdout=1&stderr=1"


@on_uvloop
async def test_attach_upgrades_and_half_closes_both_ways():
    """The program reads all input, then its end; the client reads all output, then its end."""
    backend = Containers()
    backend.command = ["sh", "-c", "cat; echo err >&2"]
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        head = await hijacked(client, f"/v1.42{ATTACH}", **UPGRADE)
        assert head.startswith("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n")
        assert "Connection: Upgrade\r\nUpgrade: tcp\r\n" in head
        await client.send(b"in" * 100_000)
        client.half_close()
        received = await client.rest()
        assert joined(received, 1) == b"in" * 100_000
        assert joined(received, 2) == b"err\n"
        assert backend.sessions[0].closed.is_set()


@pytest.mark.parametrize(
    ("version", "upgrade", "tty", "status", "content_type"),
    [
        ("1.41", True, False, "101 UPGRADED", "raw"),
        ("1.42", True, False, "101 UPGRADED", "multiplexed"),
        ("1.42", True, True, "101 UPGRADED", "raw"),
        ("1.42", False, False, "200 OK", "raw"),
    ],
)
def test_what_the_stream_is_called(version, upgrade, tty, status, content_type):
    @on_uvloop
    async def run():
        backend = Containers()
        backend.command = ["true"]
        if tty:
            backend.terminals.add("x")
        async with serving(container.routes(backend)) as served:
            client = await served.connect()
            head = await hijacked(client, f"/v{version}{ATTACH}", **(UPGRADE if upgrade else {}))
            assert head.startswith(f"HTTP/1.1 {status}\r\n")
            assert f"Content-Type: application/vnd.docker.{content_type}-stream\r\n" in head
            assert "Content-Length" not in head
            assert await client.rest() == b""

    run()


@on_uvloop
async def test_bytes_sent_with_the_request_are_input():
    """With and without an upgrade, behind a body of known length and behind a chunked one."""
    backend = Containers()
    execs = Execs()
    async with serving([*container.routes(backend), *exec_routes.routes(execs)]) as served:
        for headers in (UPGRADE, {}):
            client = await served.connect()
            await hijacked(client, ATTACH, after=b"early\n", **headers)
            client.half_close()
            assert frames(await client.rest()) == [(1, b"early\n")]
            for coding in ("length", "chunked"):
                exec_id = execs.create("x", ExecCreate(cmd=["cat"], attach_stdin=True))
                client = await served.connect()
                target = f"/exec/{exec_id}/start"
                if coding == "length":
                    await hijacked(client, target, b"{}", b"early\n", **headers)
                else:
                    chunks = b"2\r\n{}\r\n0\r\n\r\n"
                    await hijacked(
                        client,
                        target,
                        after=chunks + b"early\n",
                        **headers,
                        **{"Transfer-Encoding": "chunked", "Content-Type": "application/json"},
                    )
                client.half_close()
                assert frames(await client.rest()) == [(1, b"early\n")]


@on_uvloop
async def test_a_json_body_after_the_upgrade_head_is_read():
    """The head and the body of exec start come in separate packets, as the docker client sends them."""
    execs = Execs()
    async with serving(exec_routes.routes(execs)) as served:
        exec_id = execs.create("x", ExecCreate(cmd=["cat"], attach_stdin=True))
        client = await served.connect()
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        head = f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        await client.send(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        await asyncio.sleep(0.05)
        await client.send(body[:5])
        await asyncio.sleep(0.05)
        await client.send(body[5:] + b"input")
        assert "101 UPGRADED" in await client.head()
        client.half_close()
        assert joined(await client.rest(), 1) == b"input"


@on_uvloop
async def test_a_terminal_is_one_stream_and_can_be_left_by_keys():
    backend = Containers()
    backend.terminals.add("x")
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        await hijacked(client, f"{ATTACH}&detachKeys=ctrl-a,d", **UPGRADE)
        await client.send(b"typed\x01")
        assert await client.reader.readexactly(5) == b"typed"
        await client.send(b"d ignored")
        assert await client.rest() == b""
        session = backend.sessions[0]
        await asyncio.wait_for(session.closed.wait(), 3)
        assert (session.detached, session.received) == (True, b"typed")


@on_uvloop
async def test_keys_mean_nothing_without_a_terminal():
    backend = Containers()
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        await hijacked(client, ATTACH, **UPGRADE)
        await client.send(b"\x10\x11")
        client.half_close()
        assert joined(await client.rest(), 1) == b"\x10\x11"
        assert not backend.sessions[0].detached


@on_uvloop
async def test_the_end_of_the_input_can_be_the_end_of_the_session():
    backend = Containers()
    backend.command = ["sleep", "60"]
    backend.ends_with_input = True
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        await hijacked(client, ATTACH, **UPGRADE)
        client.half_close()
        assert await client.rest() == b""
        assert backend.sessions[0].closed.is_set()


@on_uvloop
async def test_a_client_that_goes_ends_the_session_of_a_silent_program():
    backend = Containers()
    backend.command = ["sleep", "60"]
    async with serving(container.routes(backend), hangup_poll=0.05) as served:
        client = await served.connect()
        await hijacked(client, ATTACH, **UPGRADE)
        await client.close()
        await asyncio.wait_for(backend.sessions[0].closed.wait(), 3)


@on_uvloop
async def test_what_a_client_sent_before_it_went_arrives(tmp_path):
    backend = Containers()
    target = tmp_path / "out"
    backend.command = ["sh", "-c", f"cat > {target}"]
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        await hijacked(client, ATTACH, after=b"last words", **UPGRADE)
        await client.close()
        await asyncio.wait_for(backend.sessions[0].closed.wait(), 3)
    assert backend.sessions[0].received == b"last words"


@on_uvloop
async def test_a_client_that_does_not_read_holds_the_program_back():
    backend = Containers()
    backend.command = ["sh", "-c", "head -c 8000000 /dev/zero"]
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        await hijacked(client, ATTACH, **UPGRADE)
        await asyncio.sleep(0.3)
        assert backend.sessions[0].process.returncode is None
        assert len(joined(await client.rest(), 1)) == 8_000_000


@on_uvloop
async def test_attach_to_nobody_is_an_ordinary_error():
    async with serving(container.routes(Containers())) as served:
        answer = await served.ask("POST", "/containers/nobody/attach?stream=1&stdout=1", **UPGRADE)
        assert (answer.status, answer.message) == (404, "No such container: nobody")
        answer = await served.ask("POST", f"{ATTACH}&detachKeys=foo", **UPGRADE)
        assert (answer.status, answer.message) == (400, "Invalid detach keys (foo) provided")


@on_uvloop
async def test_a_failed_exec_tells_on_the_stream(caplog):
    """The connection is taken by then; the client learns the code from inspect."""
    execs = Execs()
    async with serving(exec_routes.routes(execs)) as served:
        exec_id = execs.create("x", ExecCreate(cmd=["missing"]))
        client = await served.connect()
        await hijacked(client, f"/exec/{exec_id}/start", b"{}", **UPGRADE)
        assert frames(await client.rest()) == [(1, b"OCI runtime exec failed: no such file\r\n")]
        assert (await served.ask("POST", "/exec/nope/start", b"{}")).status == 404
    assert caplog.records == []  # the connection ends while its handler still runs: no second answer, no error


@on_uvloop
async def test_a_handler_that_fails_after_the_hijack_ends_the_connection():
    async def handler(request):
        stream = await request.hijack("x")
        await stream.write(b"some")
        raise ZeroDivisionError

    async with serving([Route("POST", "/x", handler)]) as served:
        client = await served.connect()
        await hijacked(client, "/x", **UPGRADE)
        assert await client.rest() == b"some"


@on_uvloop
async def test_the_server_can_end_its_direction_first():
    async def handler(request):
        stream = await request.hijack("x")
        await stream.write(b"bye")
        await stream.close_write()
        received = b""
        while data := await stream.read():
            received += data
        results.append(received)
        await stream.close()
        return Taken()

    results = []
    async with serving([Route("POST", "/x", handler)]) as served:
        client = await served.connect()
        await hijacked(client, "/x", **UPGRADE)
        assert await client.rest() == b"bye"
        await client.send(b"still here")
        client.half_close()
        await soon(lambda: results)
    assert results == [b"still here"]


@on_uvloop
async def test_closing_the_server_ends_sessions():
    backend = Containers()
    backend.command = ["sleep", "60"]
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        await hijacked(client, ATTACH, **UPGRADE)
        await asyncio.sleep(0.05)
        await served.server.close()
        assert backend.sessions[0].closed.is_set()
        assert await client.rest() == b""
