"""The server of the Engine API: any number of listening sockets, one table of routes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence

from wherry import __version__
from wherry.api.server.answer import AnswerHeads
from wherry.api.server.connection import Connection
from wherry.api.server.limits import Limits
from wherry.api.server.router import Router
from wherry.api.server.routing import Route
from wherry.api.server.service import Service

BACKLOG = 512


class Server:
    """Serves ``routes`` on the sockets given to :meth:`serve`, until :meth:`close`."""

    def __init__(self, routes: Sequence[Route], *, version: str = __version__, limits: Limits | None = None) -> None:
        self._service = Service(Router(routes), AnswerHeads(version), limits or Limits())
        self._listeners: list[asyncio.Server] = []

    async def serve(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Begin to accept on a bound Unix or TCP socket, which is ours from here on, and return."""
        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            listener = await loop.create_unix_server(self._connect, sock=sock, ssl=tls, backlog=BACKLOG)
        else:
            listener = await loop.create_server(self._connect, sock=sock, ssl=tls, backlog=BACKLOG)
        self._listeners.append(listener)

    async def close(self, grace: float = 10.0) -> None:
        """Accept no more; let answers under way end for ``grace`` seconds; streams without an end are cut at once."""
        self._service.closing = True
        for listener in self._listeners:
            listener.close()
        leaving = [member.leave() for member in list(self._service.members)]
        tasks = {task for task in leaving if task is not None} | self._service.orphans
        await _settle(tasks, grace)
        for task in tasks:
            task.cancel()
        await _settle(tasks, grace)
        for member in list(self._service.members):
            member.abort()
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()

    def _connect(self) -> Connection:
        return Connection(self._service)


async def _settle(tasks: Iterable[asyncio.Task[None]], seconds: float) -> None:
    pending = [task for task in tasks if not task.done()]
    if pending:
        await asyncio.wait(pending, timeout=seconds)
