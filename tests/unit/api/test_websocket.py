"""Attach over a websocket."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.api.processes import Containers
from unit.api.serving import on_uvloop, serving
from wherry.api.routes import container
from wherry.api.server.websocket import BINARY, CLOSE, PING, PONG, TEXT, BadFrame, FrameReader, encode_frame

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec_WebSocket_Version": "13",
}


def masked(opcode: int, payload: bytes) -> bytes:
    key = os.urandom(4)
    plain = encode_frame(opcode, b"\0" * len(payload))
    head = plain[: len(plain) - len(payload)]
    body = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return head[:1] + bytes([head[1] | 0x80]) + head[2:] + key + body


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING, CLOSE]), st.binary(max_size=300))), st.integers(1, 50))
def test_frames_are_read_however_they_are_cut(frames, step):
    data = b"".join(masked(*frame) for frame in frames)
    reader = FrameReader()
    found = []
    for at in range(0, len(data), step):
        found += reader.feed(data[at : at + step])
    assert found == frames


@given(st.binary(max_size=100))
def test_noise_is_refused_or_waited_for(noise):
    try:
        FrameReader().feed(noise)
    except BadFrame:
        return


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_lengths(size):
    assert FrameReader().feed(masked(BINARY, b"x" * size)) == [(BINARY, b"x" * size)]


@on_uvloop
async def test_attach_over_a_websocket():
    """The sample handshake of RFC 6455; bytes both ways; a ping answered; a close that ends the input."""
    backend = Containers()
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        target = "/v1.50/containers/x/attach/ws?stream=1&stdin=1&stdout=1"
        lines = [f"GET {target} HTTP/1.1", "Host: d", *(f"{k.replace('_', '-')}: {v}" for k, v in HANDSHAKE.items())]
        await client.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        head = await client.head()
        assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
        assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        await client.send(masked(PING, b"p") + masked(TEXT, b"hello"))
        assert await client.reader.readexactly(3) == encode_frame(PONG, b"p")
        assert await client.reader.readexactly(7) == encode_frame(BINARY, b"hello")
        await client.send(masked(CLOSE, b""))
        assert await client.rest() == encode_frame(CLOSE, b"\x03\xe8")


@on_uvloop
async def test_what_is_no_handshake_is_refused():
    backend = Containers()
    async with serving(container.routes(backend)) as served:
        answer = await served.ask("GET", "/containers/x/attach/ws?stream=1")
        assert (answer.status, answer.message) == (400, "not websocket protocol")
        assert backend.sessions[0].closed.is_set()
