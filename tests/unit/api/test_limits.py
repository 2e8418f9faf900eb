"""What hostile and broken clients get: a plain refusal, and never more than their share."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.api.serving import on_uvloop, serving, soon
from wherry.api.server.routing import Route, Text


async def hello(request):
    return Text(f"{len(await request.body())}")


ROUTES = [Route("GET", "/x", hello), Route("POST", "/x", hello)]


@on_uvloop
async def test_a_huge_header_is_431():
    async with serving(ROUTES, header=4096) as served:
        client = await served.connect()
        await client.send(b"GET /x HTTP/1.1\r\nHost: d\r\nX: " + b"a" * 10_000)
        assert (await client.rest()).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@on_uvloop
async def test_gos_limit_is_ours():
    async with serving(ROUTES) as served:
        assert (await served.ask("GET", "/x", X_Long="a" * 900_000)).status == 200
        client = await served.connect()
        with contextlib.suppress(ConnectionError):
            await client.send(b"GET /x HTTP/1.1\r\nHost: d\r\nX: " + b"a" * 1_100_000 + b"\r\n\r\n")
        assert b" 431 " in await client.rest()


@on_uvloop
async def test_a_trickle_of_headers_ends_in_time():
    """One byte at a time does not extend the time, nor cost more than it should."""
    async with serving(ROUTES, header_time=0.3) as served:
        client = await served.connect()
        begun = time.monotonic()
        await client.send(b"GET /x HTTP/1.1\r\nHost: d\r\nX: ")

        async def trickle():
            while True:
                await client.send(b"a")
                await asyncio.sleep(0.02)

        trickling = asyncio.create_task(trickle())
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun < 2
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)


@on_uvloop
async def test_an_idle_connection_may_stay():
    async with serving(ROUTES, header_time=0.05) as served:
        client = await served.connect()
        await asyncio.sleep(0.15)
        assert (await client.ask("GET", "/x")).status == 200
        await asyncio.sleep(0.15)
        assert (await client.ask("GET", "/x")).status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /x HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: d\r\nbad\x00name: x\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        b"GET /x HTTP/1.1\nHost: d\n\n\r\n\r\n",
    ],
)
def test_what_is_no_request_is_400(request_bytes):
    @on_uvloop
    async def run():
        async with serving(ROUTES) as served:
            client = await served.connect()
            await client.send(request_bytes)
            answer = await client.rest()
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"\r\n\r\n400 Bad Request" in answer

    run()


@on_uvloop
async def test_a_body_over_the_limit_is_refused_before_it_comes():
    async with serving(ROUTES, body=1000) as served:
        client = await served.connect()
        await client.send(b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 1001\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.message) == (400, "request body too large: more than 1000 bytes")


@on_uvloop
async def test_a_chunked_body_over_the_limit_is_refused():
    async with serving(ROUTES, body=1000) as served:
        client = await served.connect()
        await client.send(b"POST /x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + b"a" * 1024)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")


@on_uvloop
async def test_a_body_that_never_comes_ends_in_time():
    async with serving(ROUTES, body_time=0.1) as served:
        client = await served.connect()
        await client.send(b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nabc")
        assert (await client.answer()).message == "request body did not arrive in time"


@on_uvloop
async def test_a_body_shorter_than_announced():
    async with serving(ROUTES) as served:
        client = await served.connect()
        await client.send(b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nabc")
        client.half_close()
        answer = await client.answer()
        assert (answer.status, answer.message) == (400, "invalid request body: unexpected EOF")


@on_uvloop
async def test_a_body_longer_than_announced():
    """What is too much is taken for a further request, and is none."""
    async with serving(ROUTES) as served:
        client = await served.connect()
        await client.send(b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabcdefg\r\n\r\n")
        assert (await client.answer()).body == b"3"
        assert (await client.rest()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@on_uvloop
async def test_broken_chunks():
    async with serving(ROUTES) as served:
        client = await served.connect()
        await client.send(b"POST /x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n")
        answer = await client.answer()
        assert (answer.status, answer.message) == (400, "invalid request body: malformed chunked encoding")
        assert await client.rest() == b""


@on_uvloop
async def test_at_the_limit_idle_connections_make_room():
    async with serving(ROUTES, connections=3) as served:
        clients = [await served.connect() for _ in range(3)]
        for client in clients:
            assert (await client.ask("GET", "/x")).status == 200
        assert (await served.ask("GET", "/x")).status == 200
        assert await clients[0].rest() == b""
        assert (await clients[1].ask("GET", "/x")).status == 200


@on_uvloop
async def test_at_the_limit_busy_connections_do_not():
    gate, waiting = asyncio.Event(), []

    async def block(_request):
        waiting.append(1)
        await gate.wait()
        return Text("")

    async with serving([Route("GET", "/block", block)], connections=2) as served:
        clients = [await served.connect() for _ in range(2)]
        for client in clients:
            await client.send(b"GET /block HTTP/1.1\r\nHost: d\r\n\r\n")
        await soon(lambda: len(waiting) == 2)
        assert b" 503 " in await (await served.connect()).rest()
        gate.set()
        assert (await clients[0].answer()).status == 200


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.sampled_from(
            [
                b"GET /x HTTP/1.1\r\nHost: d\r\n\r\n",
                b"POST /x HTTP/1.1\r\nHost: d\r\n",
                b"Content-Length: 5\r\n\r\n",
                b"Transfer-Encoding: chunked\r\n\r\n",
                b"5\r\nabcde\r\n",
                b"0\r\n\r\n",
                b"\r\n\r\n",
            ]
        ),
        max_size=8,
    )
)
def test_the_server_survives_any_bytes(pieces):
    """Whatever one client sends, the next one is served."""

    @on_uvloop
    async def run():
        async with serving(ROUTES, linger_time=0.05, grace=0.2) as served:
            client = await served.connect()
            try:
                for piece in pieces:
                    await client.send(piece)
                client.half_close()
            except (ConnectionError, OSError):
                pass
            received = await client.rest()
            assert not received or received.startswith(b"HTTP/1.1 ")
            assert (await served.ask("GET", "/x")).status == 200

    run()
