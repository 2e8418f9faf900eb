"""The little of RFC 6455 that attach over a websocket needs: the handshake, whole frames both ways, no extensions.

 0               1               2 …
+-+-----+-------+-+-------------+---------------------+----------+----------
|F| 000 |opcode |M| length 7    | 16 or 64 more bits  | mask key | payload …
+-+-----+-------+-+-------------+---------------------+----------+----------
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import struct

from wherry.api.server.routing import ApiVersion, Request, Stream
from wherry.lib.errors import InvalidArgument

CONTINUATION, TEXT, BINARY = 0, 1, 2
CLOSE, PING, PONG = 8, 9, 10

FRAME_LIMIT = 1 << 20
BINARY_SINCE = ApiVersion(1, 28)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE_NORMAL = struct.pack(">H", 1000)


class BadFrame(ValueError):
    """The client does not speak RFC 6455."""


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """A whole message in one unmasked frame, as a server sends it."""
    first = 0x80 | opcode
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return struct.pack(">BBH", first, 126, length) + payload
    return struct.pack(">BBQ", first, 127, length) + payload


class FrameReader:
    """Client frames out of a byte stream, however it is cut."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The complete frames, as (opcode, unmasked payload). Raises BadFrame."""
        self._buffer += data
        frames: list[tuple[int, bytes]] = []
        while (found := self._frame()) is not None:
            opcode, payload, used = found
            frames.append((opcode, payload))
            self._buffer = self._buffer[used:]
        return frames

    def _frame(self) -> tuple[int, bytes, int] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[0] & 0x70 or not buffer[1] & 0x80:
            raise BadFrame("reserved bits or no mask")
        length, position = buffer[1] & 0x7F, 2
        extra = {126: 2, 127: 8}.get(length, 0)
        if len(buffer) < position + extra + 4:
            return None
        if extra:
            length = int.from_bytes(buffer[position : position + extra], "big")
            position += extra
        if length > FRAME_LIMIT:
            raise BadFrame("frame too long")
        key = buffer[position : position + 4]
        position += 4
        if len(buffer) < position + length:
            return None
        masked = buffer[position : position + length]
        return buffer[0] & 0x0F, _unmask(masked, key), position + length


async def accept_websocket(request: Request) -> Stream:
    """Complete the handshake. Raises InvalidArgument when the request is none."""
    headers = request.headers
    key = headers.get("sec-websocket-key", "")
    if headers.get("upgrade", "").lower() != "websocket" or not key:
        raise InvalidArgument("not websocket protocol")
    if headers.get("sec-websocket-version", "") != "13":
        raise InvalidArgument("missing or bad WebSocket Version")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode("ascii")
    raw = await request.switch({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept})
    return WebSocket(raw, BINARY if request.version >= BINARY_SINCE else TEXT)


class WebSocket:
    """The payloads of a websocket as one stream of bytes; see ``routing.Stream``."""

    def __init__(self, raw: Stream, opcode: int) -> None:
        self._raw = raw
        self._opcode = opcode
        self._frames = FrameReader()
        self._payloads: list[bytes] = []
        self._ended = False

    async def read(self) -> bytes:
        """The next payload; empty once the client has closed or broken the protocol."""
        while not self._payloads and not self._ended:
            data = await self._raw.read()
            if not data:
                self._ended = True
                break
            try:
                frames = self._frames.feed(data)
            except BadFrame:
                self._ended = True
                break
            for opcode, payload in frames:
                await self._take(opcode, payload)
        return self._payloads.pop(0) if self._payloads else b""

    async def write(self, data: bytes) -> None:
        """Send one message."""
        await self._raw.write(encode_frame(self._opcode, data))

    async def close_write(self) -> None:
        """Say that nothing more will be sent."""
        await self._raw.write(encode_frame(CLOSE, _CLOSE_NORMAL))

    async def close(self) -> None:
        """Say goodbye and end the connection."""
        with contextlib.suppress(ConnectionError):
            await self.close_write()
        await self._raw.close()

    async def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._ended = True
        elif opcode == PING:
            await self._raw.write(encode_frame(PONG, payload))
        elif opcode in (CONTINUATION, TEXT, BINARY) and payload:
            self._payloads.append(payload)


def _unmask(data: bytes, key: bytes) -> bytes:
    length = len(data)
    mask = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(length, "big")
