"""HTTP as clients speak it, and as they should not."""

from __future__ import annotations

import asyncio
import logging

import pytest

from unit.api.serving import on_uvloop, serving, soon
from wherry.api.server.routing import ApiVersion, Chunked, Empty, Json, Route, Text
from wherry.lib import errors
from wherry.wire.exec import ExecStart

MIB = 1 << 20
UPGRADE = "please upgrade your client to a newer version"


async def echo(request):
    return Text((await request.body()).decode("latin-1"))


async def hello(request):
    return Text(f"hello {request.path.get('name', '')}")


async def decoded(request):
    started = await request.json(ExecStart, optional=request.query.flag("optional"))
    return Json({"detach": started.detach})


ECHO = Route("POST", "/echo", echo)
HELLO = Route("GET", "/hello/{name}", hello)
DECODED = Route("POST", "/decoded", decoded)


def raising(error):
    async def handler(_request):
        raise error

    return Route("GET", "/fail", handler)


@on_uvloop
async def test_an_answer_has_dockerds_headers():
    async with serving([HELLO]) as served:
        answer = await served.ask("GET", "/v1.41/hello/you")
        assert (answer.status, answer.body) == (200, b"hello you")
        assert answer.headers["api-version"] == "1.50"
        assert answer.headers["docker-experimental"] == "false"
        assert answer.headers["ostype"] == "linux"
        assert answer.headers["server"].startswith("wherry/")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert "date" in answer.headers


@on_uvloop
async def test_names_are_decoded_and_double_slashes_forgiven():
    async with serving([HELLO]) as served:
        assert (await served.ask("GET", "/hello/a%20b")).body == b"hello a b"
        assert (await served.ask("GET", "/v1.50/hello/%2Fa")).body == b"hello a"
        assert (await served.ask("GET", "/hello/%zz")).status == 400


@on_uvloop
async def test_a_connection_serves_many_requests():
    async with serving([HELLO, ECHO]) as served:
        client = await served.connect()
        for number in range(5):
            assert (await client.ask("GET", f"/hello/{number}")).body == f"hello {number}".encode()
            assert (await client.ask("POST", "/echo", b"x" * number)).body == b"x" * number


@on_uvloop
async def test_requests_sent_ahead_are_answered_in_order():
    """Pipelining: the second is not looked at before the first is answered."""
    running = []

    async def slow(request):
        running.append(request.path["n"])
        assert len(running) == 1
        await asyncio.sleep(0.01)
        running.clear()
        return Text(request.path["n"])

    async with serving([Route("POST", "/slow/{n}", slow)]) as served:
        client = await served.connect()
        requests = [
            b"POST /slow/%d HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabc" % number for number in range(20)
        ]
        await client.send(b"".join(requests))
        assert [(await client.answer()).body for _ in requests] == [b"%d" % number for number in range(20)]


@on_uvloop
async def test_a_flood_of_requests_is_held_back():
    async with serving([HELLO], pipelined=1000) as served:
        client = await served.connect()
        count = 3000

        async def write():
            for _ in range(count):
                await client.send(b"GET /hello/x HTTP/1.1\r\nHost: d\r\n\r\n")

        writing = asyncio.create_task(write())
        for _ in range(count):
            assert (await client.answer()).status == 200
        await writing


@on_uvloop
async def test_every_cut_of_the_bytes_reads_the_same():
    request = b"POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n"
    async with serving([ECHO]) as served:
        client = await served.connect()
        for at in range(1, len(request)):
            await client.send(request[:at])
            await asyncio.sleep(0)
            await client.send(request[at:])
            assert (await client.answer()).body == b"abcde"


@on_uvloop
async def test_head_has_no_body():
    async def handler(_request):
        return Text("body")

    async with serving([Route("HEAD", "/x", handler), HELLO]) as served:
        client = await served.connect()
        answer = await client.ask("HEAD", "/x")
        assert answer.headers["content-length"] == "4"
        assert (await client.ask("GET", "/hello/x")).body == b"hello x"


@on_uvloop
async def test_statuses_without_a_body_have_none():
    async def handler(request):
        if request.query.flag("fail"):
            raise errors.NotModified("already so")
        return Empty()

    async with serving([Route("POST", "/x", handler)]) as served:
        client = await served.connect()
        for target, status in (("/x", 204), ("/x?fail=1", 304)):
            answer = await client.ask("POST", target)
            assert answer.status == status
            assert not {"content-length", "content-type", "transfer-encoding"} & set(answer.headers)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidArgument("m"), 400),
        (errors.Unauthorized("m"), 401),
        (errors.Forbidden("m"), 403),
        (errors.NotFound("m"), 404),
        (errors.Conflict("m"), 409),
        (errors.Internal("m"), 500),
        (errors.NotBuilt("m"), 501),
        (errors.Unavailable("m"), 503),
        (type("Special", (errors.Conflict,), {})("m"), 409),
        (ZeroDivisionError("m"), 500),
        (ConnectionRefusedError("m"), 500),
        (TimeoutError("m"), 500),
    ],
)
def test_errors_have_a_status_and_a_message(error, status):
    @on_uvloop
    async def run():
        async with serving([raising(error)]) as served:
            client = await served.connect()
            for _ in range(2):
                answer = await client.ask("GET", "/fail")
                assert (answer.status, answer.body) == (status, b'{"message":"m"}\n')
                assert answer.headers["content-type"] == "application/json"

    run()


@on_uvloop
async def test_a_fault_of_ours_is_logged():
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("wherry.api.server.exchange")
    logger.addHandler(handler)
    try:
        async with serving([raising(ZeroDivisionError("oops"))]) as served:
            assert (await served.ask("GET", "/fail")).message == "oops"
    finally:
        logger.removeHandler(handler)
    assert records[0].exc_info[0] is ZeroDivisionError


@on_uvloop
async def test_pages_versions_and_what_is_not_built():
    late = Route("GET", "/late", hello, since=ApiVersion(1, 40))
    async with serving([HELLO, late]) as served:
        for method, target, status, message in [
            ("GET", "/nope", 404, "page not found"),
            ("POST", "/hello/x", 404, "page not found"),
            ("GET", "/v1.39/late", 404, "page not found"),
            ("GET", "/v1.99/nope", 404, "page not found"),
            ("GET", "/v1.99/hello/x", 400, "client version 1.99 is too new. Maximum supported API version is 1.50"),
            (
                "GET",
                "/v1.12/hello/x",
                400,
                "client version 1.12 is too old. Minimum supported API version is 1.24, " + UPGRADE,
            ),
            ("POST", "/v1.41/images/a/b/push?tag=x", 501, "POST /images/{name}/push is not built yet"),
        ]:
            answer = await served.ask(method, target)
            assert (answer.status, answer.message) == (status, message)


@on_uvloop
async def test_json_bodies():
    async with serving([DECODED]) as served:
        client = await served.connect()
        assert (await client.ask("POST", "/decoded", b'{"Detach": true}')).json() == {"detach": True}
        assert (await client.ask("POST", "/decoded?optional=1")).json() == {"detach": False}
        for body, content_type, message in [
            (b"", "application/json", "invalid JSON: got EOF while reading request body"),
            (b"{", "application/json", "invalid JSON: unexpected EOF"),
            (b"{}", "text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"),
            (
                b'{"Detach": "x"}',
                "application/json",
                "invalid JSON: json: cannot unmarshal string into Go struct field ExecStart.Detach of type bool",
            ),
        ]:
            answer = await client.ask("POST", "/decoded", body, Content_Type=content_type)
            assert (answer.status, answer.message) == (400, message)


@on_uvloop
async def test_a_body_is_asked_for_when_the_handler_wants_it():
    async with serving([ECHO, Route("POST", "/refuse", hello)]) as served:
        client = await served.connect()
        await client.send(b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert await client.head() == "HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"abc")
        assert (await client.answer()).body == b"abc"
        await client.send(b"POST /refuse HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        answer = await client.answer()
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""


@on_uvloop
async def test_an_unread_body_does_not_become_the_next_request():
    async with serving([HELLO, Route("POST", "/ignore", hello)]) as served:
        client = await served.connect()
        smuggled = b"GET /hello/evil HTTP/1.1\r\nHost: d\r\n\r\n"
        await client.send(b"POST /ignore HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(smuggled))
        assert (await client.answer()).body == b"hello "
        await client.send(smuggled)
        assert (await client.ask("GET", "/hello/x")).body == b"hello x"


@on_uvloop
async def test_a_long_unread_body_ends_the_connection():
    """The client still reads the answer whole, although it goes on sending."""
    async with serving([Route("POST", "/ignore", hello)]) as served:
        client = await served.connect()
        await client.send(
            b"POST /ignore HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % (100 * MIB) + b"x" * 300_000
        )
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        client.half_close()
        assert await client.rest() == b""


@on_uvloop
async def test_large_bodies_stream_with_back_pressure():
    """A slow handler holds the client back: what waits in the daemon stays bounded."""
    sent, total = 0, 20 * MIB
    ahead = []

    async def slow(request):
        received = 0
        async for piece in request.chunks():
            received += len(piece)
            ahead.append(sent - received)
            await asyncio.sleep(0.0005)
        return Json(received)

    async with serving([Route("POST", "/load", slow)], buffered=256 * 1024) as served:
        client = await served.connect()
        await client.send(b"POST /load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"%x\r\n%b\r\n" % (65536, b"y" * 65536)
        for _ in range(total // 65536):
            await client.send(piece)
            sent += 65536
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).json() == total
        assert max(ahead) < 4 * MIB  # socket buffers and the client's own are in it


@on_uvloop
async def test_chunks_are_sent_as_they_come():
    gate = asyncio.Event()

    async def numbers():
        yield b"one"
        await gate.wait()
        yield b""
        yield b"two"

    async def handler(_request):
        return Chunked(numbers(), "application/x-numbers", eager=True, headers={"X-More": "yes"})

    async with serving([Route("GET", "/numbers", handler), HELLO]) as served:
        client = await served.connect()
        await client.send(b"GET /numbers HTTP/1.1\r\nHost: d\r\n\r\n")
        head = await client.head()
        assert "Transfer-Encoding: chunked" in head
        assert "X-More: yes" in head
        chunks = client.chunks()
        assert await anext(chunks) == b"one"
        gate.set()
        assert await anext(chunks) == b"two"
        assert [chunk async for chunk in chunks] == []
        assert (await client.ask("GET", "/hello/x")).status == 200


@on_uvloop
async def test_eager_heads_come_before_the_first_chunk():
    gate = asyncio.Event()

    async def later():
        await gate.wait()
        yield b"x"

    async def handler(_request):
        return Chunked(later(), "text/plain", eager=True)

    async with serving([Route("GET", "/later", handler)]) as served:
        client = await served.connect()
        await client.send(b"GET /later HTTP/1.1\r\nHost: d\r\n\r\n")
        assert "200 OK" in await client.head()
        gate.set()
        assert [chunk async for chunk in client.chunks()] == [b"x"]


@on_uvloop
async def test_an_error_before_the_first_chunk_has_its_status():
    async def broken():
        raise errors.NotFound("no such thing")
        yield b""

    async def handler(_request):
        return Chunked(broken(), "text/plain")

    async with serving([Route("GET", "/x", handler)]) as served:
        assert (await served.ask("GET", "/x")).status == 404


@on_uvloop
async def test_an_error_after_the_first_chunk_cuts_the_answer():
    """A client must not take half an answer for a whole one."""

    async def broken():
        yield b"half"
        raise errors.Internal("broke")

    async def handler(_request):
        return Chunked(broken(), "text/plain")

    async with serving([Route("GET", "/x", handler)]) as served:
        client = await served.connect()
        await client.send(b"GET /x HTTP/1.1\r\nHost: d\r\n\r\n")
        await client.head()
        assert await client.rest() == b"4\r\nhalf\r\n"


@on_uvloop
async def test_http_1_0_ends_with_the_connection():
    async def two():
        yield b"one"
        yield b"two"

    async def handler(_request):
        return Chunked(two(), "text/plain")

    async with serving([Route("GET", "/x", handler)]) as served:
        client = await served.connect()
        await client.send(b"GET /x HTTP/1.0\r\n\r\n")
        assert "chunked" not in await client.head()
        assert await client.rest() == b"onetwo"


@on_uvloop
async def test_a_slow_reader_holds_the_producer_back():
    produced = 0

    async def flood():
        nonlocal produced
        for _ in range(1000):
            produced += 65536
            yield b"z" * 65536

    async def handler(_request):
        return Chunked(flood(), "text/plain")

    async with serving([Route("GET", "/flood", handler)]) as served:
        client = await served.connect()
        await client.send(b"GET /flood HTTP/1.1\r\nHost: d\r\n\r\n")
        await asyncio.sleep(0.2)
        assert produced < 4 * MIB
        await client.head()
        assert sum([len(chunk) async for chunk in client.chunks()]) == 1000 * 65536


@on_uvloop
async def test_a_hang_up_ends_the_stream():
    closed = asyncio.Event()

    async def forever():
        try:
            while True:
                yield b"tick"
                await asyncio.sleep(3600)
        finally:
            closed.set()

    async def handler(_request):
        return Chunked(forever(), "text/plain")

    async with serving([Route("GET", "/events", handler)]) as served:
        client = await served.connect()
        await client.send(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        await client.head()
        await client.close()
        await asyncio.wait_for(closed.wait(), 3)


@on_uvloop
async def test_a_hang_up_cancels_the_handler_but_not_an_uninterrupted_one():
    outcome = {}

    def handler(name):
        async def handle(request):
            outcome[name] = "started"
            try:
                await asyncio.sleep(0.3)
                outcome[name] = "finished"
            except asyncio.CancelledError:
                outcome[name] = "cancelled"
                raise
            return Empty()

        return handle

    async with serving(
        [
            Route("POST", "/pull", handler("pull")),
            Route("POST", "/remove", handler("remove"), uninterrupted=True),
        ]
    ) as served:
        for name in ("pull", "remove"):
            client = await served.connect()
            await client.send(b"POST /%b HTTP/1.1\r\nHost: d\r\n\r\n" % name.encode())
            await soon(lambda name=name: name in outcome)
            await client.close()
        await soon(lambda: "started" not in outcome.values())
    assert outcome == {"pull": "cancelled", "remove": "finished"}


@on_uvloop
async def test_a_handler_can_wait_for_the_hang_up():
    gone = asyncio.Event()

    async def handler(request):
        await request.gone()
        gone.set()
        return Empty()

    async with serving([Route("POST", "/x", handler, uninterrupted=True)]) as served:
        client = await served.connect()
        await client.send(b"POST /x HTTP/1.1\r\nHost: d\r\n\r\n")
        await asyncio.sleep(0.05)
        assert not gone.is_set()
        await client.close()
        await asyncio.wait_for(gone.wait(), 3)


@on_uvloop
async def test_a_half_closed_client_still_gets_its_answer():
    async def slow(_request):
        await asyncio.sleep(0.2)
        return Text("late")

    async with serving([Route("GET", "/slow", slow)], hangup_poll=0.05) as served:
        client = await served.connect()
        await client.send(b"GET /slow HTTP/1.1\r\nHost: d\r\n\r\n")
        client.half_close()
        assert (await client.answer()).body == b"late"
        assert await client.rest() == b""


@on_uvloop
async def test_a_half_closed_client_that_goes_later_is_noticed():
    cancelled = asyncio.Event()

    async def slow(_request):
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    async with serving([Route("GET", "/slow", slow)], hangup_poll=0.05) as served:
        client = await served.connect()
        await client.send(b"GET /slow HTTP/1.1\r\nHost: d\r\n\r\n")
        client.half_close()
        await asyncio.sleep(0.15)
        assert not cancelled.is_set()
        await client.close()
        await asyncio.wait_for(cancelled.wait(), 3)


@on_uvloop
async def test_closing_lets_answers_end_and_cuts_streams():
    gate = asyncio.Event()

    async def slow(_request):
        gate.set()
        await asyncio.sleep(0.2)
        return Text("done")

    async def forever():
        while True:
            yield b"x"
            await asyncio.sleep(3600)

    async def endless(_request):
        return Chunked(forever(), "text/plain", eager=True)

    async with serving([Route("GET", "/slow", slow), Route("GET", "/endless", endless)]) as served:
        idle, busy, streaming = [await served.connect() for _ in range(3)]
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: d\r\n\r\n")
        await streaming.send(b"GET /endless HTTP/1.1\r\nHost: d\r\n\r\n")
        await streaming.head()
        await gate.wait()
        await served.server.close()
        answer = await busy.answer()
        assert (answer.body, answer.headers["connection"]) == (b"done", "close")
        assert await idle.rest() == b""
        assert await streaming.rest() == b"1\r\nx\r\n"


@on_uvloop
async def test_a_header_cannot_break_its_line():
    async def handler(_request):
        return Text("x", headers={"X-Evil": "a\r\nX-Injected: 1"})

    async with serving([Route("GET", "/x", handler)]) as served:
        answer = await served.ask("GET", "/x")
        assert answer.status == 500
        assert "x-injected" not in answer.headers


@on_uvloop
async def test_a_hang_up_behind_an_unread_body_is_noticed():
    cancelled = asyncio.Event()

    async def busy(_request):
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    async with serving([Route("POST", "/build", busy)], hangup_poll=0.05, buffered=1000) as served:
        client = await served.connect()
        await client.send(b"POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 100_000)
        await asyncio.sleep(0.15)
        assert not cancelled.is_set()
        client.writer.transport.abort()
        await asyncio.wait_for(cancelled.wait(), 3)
