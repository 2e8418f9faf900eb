"""A server on a Unix socket, and a client that speaks bytes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass

import uvloop

from wherry.api.server.app import Server
from wherry.api.server.limits import Limits


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        return self.json()["message"]


class Client:
    """One connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes):
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, method, target, body: bytes | None = None, **headers: str) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", "Host: d"]
        if body is not None:
            headers = {"Content_Length": str(len(body)), "Content_Type": "application/json"} | headers
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        return await self.answer(method)

    async def answer(self, method="GET") -> Answer:
        """Read one answer; hijacked ones and those without a length have no body here."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        status = int(first.split(" ")[1])
        body = b""
        if method != "HEAD":
            if "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                body = b"".join([piece async for piece in self.chunks()])
        return Answer(status, headers, body)

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")

    async def chunks(self):
        while size := int(await self.reader.readline(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    def half_close(self):
        self.writer.write_eof()

    async def rest(self) -> bytes:
        """Until the server closes, gently or not."""
        received = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while data := await self.reader.read(1 << 20):
                received += data
        return bytes(received)

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Served:
    def __init__(self, server, path):
        self.server, self.path = server, path
        self._clients = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_unix_connection(self.path))
        self._clients.append(client)
        return client

    async def ask(self, method, target, body: bytes | None = None, **headers: str) -> Answer:
        client = await self.connect()
        return await client.ask(method, target, body, **headers)

    async def close(self):
        for client in self._clients:
            await client.close()


@contextlib.asynccontextmanager
async def serving(routes, *, grace=5.0, **limits):
    """``routes`` on a socket; everything is gone afterwards."""
    directory = tempfile.mkdtemp(prefix="api")
    path = os.path.join(directory, "s")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    server = Server(routes, limits=Limits(**limits))
    await server.serve(listener)
    served = Served(server, path)
    try:
        async with asyncio.timeout(20):
            yield served
    finally:
        await served.close()
        await server.close(grace)
        shutil.rmtree(directory)


async def soon(condition, seconds=5.0):
    """Wait until ``condition()`` holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (the condition is anything)
            await asyncio.sleep(0.005)


def on_uvloop(test):
    """Run a test on the loop that the daemon runs on: its transports differ from asyncio's own."""

    @functools.wraps(test)
    def run(*arguments, **named):
        uvloop.run(test(*arguments, **named))

    return run
