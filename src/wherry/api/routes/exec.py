"""Exec: further processes in running containers."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from msgspec.structs import replace

from wherry.api.routes.container_streams import window_size
from wherry.api.routes.detach_keys import parse_detach_keys
from wherry.api.routes.streams import MULTIPLEXED_SINCE, AttachSession, hijacked_type, pump
from wherry.api.server.multiplex import STDOUT, frame
from wherry.api.server.routing import Empty, Json, Request, Response, Route, Taken
from wherry.lib.errors import InvalidArgument, WherryError
from wherry.wire.exec import ExecCreate, ExecInspect, ExecStart


class Backend(Protocol):
    """What the routes need."""

    def create(self, key: str, config: ExecCreate) -> str:
        """Describe a process to come; its id. Raises NotFound, Conflict when the container does not run."""

    def config(self, exec_id: str) -> ExecCreate:
        """What it was created with. Raises NotFound, Conflict when its container does not run."""

    async def start(self, exec_id: str, options: ExecStart) -> AttachSession | None:
        """Run it; the session is None when detached. Raises NotFound, Conflict, and what made the start fail."""

    def inspect(self, exec_id: str) -> ExecInspect:
        """The instance. Raises NotFound."""

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """The terminal's size in characters. Raises NotFound, Conflict when it does not run."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("POST", "/containers/{name}/exec", partial(create, backend), uninterrupted=True),
        Route("POST", "/exec/{id}/start", partial(start, backend), uninterrupted=True),
        Route("POST", "/exec/{id}/resize", partial(resize, backend), uninterrupted=True),
        Route("GET", "/exec/{id}/json", partial(inspect, backend)),
    ]


async def create(backend: Backend, request: Request) -> Response:
    """The first half of ``docker exec``."""
    config = await request.json(ExecCreate)
    if not config.cmd:
        raise InvalidArgument("No exec command specified")
    parse_detach_keys(config.detach_keys)
    if request.version < MULTIPLEXED_SINCE:
        config = replace(config, console_size=None)
    return Json({"Id": backend.create(request.path["name"], config)}, status=201)


async def start(backend: Backend, request: Request) -> Response:
    """The second half. What makes the start fail is told on the stream: by then it is no longer HTTP."""
    options = await request.json(ExecStart, optional=True)
    exec_id = request.path["id"]
    config = backend.config(exec_id)
    if options.console_size is not None and (request.version < MULTIPLEXED_SINCE or not options.tty):
        options = replace(options, console_size=None)
    if options.detach:
        await backend.start(exec_id, options)
        return Empty(200)
    stream = await request.hijack(hijacked_type(request, tty=options.tty))
    try:
        session = await backend.start(exec_id, options)
    except WherryError as error:
        text = f"{error.message}\r\n".encode()
        await stream.write(text if options.tty else frame(STDOUT, text))
        await stream.close()
        return Taken()
    if session is None:
        await stream.close()
    else:
        keys = parse_detach_keys(config.detach_keys)
        await pump(stream, session, request, keys=keys, multiplexed=not options.tty)
    return Taken()


async def resize(backend: Backend, request: Request) -> Response:
    """``docker exec -t`` when the window changes."""
    height, width = window_size(request)
    await backend.resize(request.path["id"], height, width)
    return Empty(200)


async def inspect(backend: Backend, request: Request) -> Response:
    """How ``docker exec`` learns the exit code."""
    return Json(backend.inspect(request.path["id"]))
