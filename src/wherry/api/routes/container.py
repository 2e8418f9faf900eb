"""Containers: what they are and what becomes of them. Their streams are in ``container_streams``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Protocol

import msgspec
from msgspec.structs import replace

from wherry.api.routes import container_streams
from wherry.api.routes.create_versions import adapt
from wherry.api.server.query import atoi
from wherry.api.server.routing import ApiVersion, Chunked, Empty, Json, Request, Response, Route
from wherry.lib.errors import InvalidArgument, NotBuilt, WherryError
from wherry.lib.filters import Filters
from wherry.wire.container import (
    ContainerInspect,
    ContainerSummary,
    CreateRequest,
    CreateResponse,
    HostConfig,
    PruneReport,
    TopResponse,
    UpdateResponse,
    WaitError,
    WaitResponse,
)

CONDITIONS = ("not-running", "next-exit", "removed")

EARLY_WAIT_SINCE = ApiVersion(1, 30)
"""Since then ``wait`` has conditions and answers its headers at once: a client may rely on being registered."""
REMOVAL_ERRORS_SINCE = ApiVersion(1, 34)
PLATFORM_SINCE = ApiVersion(1, 41)
SIGNAL_SINCE = ApiVersion(1, 42)
PIDS_LIMIT_SINCE = ApiVersion(1, 40)
NO_KERNEL_MEMORY_SINCE = ApiVersion(1, 42)
UPDATABLE = (
    "blkio_weight",
    "cpu_shares",
    "nano_cpus",
    "cpu_period",
    "cpu_quota",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_swap",
    "memory_reservation",
    "kernel_memory",
    "pids_limit",
    "restart_policy",
)
"""What may be said to a container that exists; as in dockerd, nobody looks at what else there is."""
LONGEST_EMPTY_BODY = 7
"""A start request's body up to this long cannot hold a configuration; clients send ``{}`` or ``null``."""


class Store(Protocol):
    """Which containers there are. ``key`` is a name, an id or the unambiguous beginning of one."""

    async def list(self, *, everything: bool, limit: int, size: bool, filters: Filters) -> list[ContainerSummary]:
        """Newest first; running ones unless ``everything``, ``limit`` (> 0) or a filter asks for more."""

    async def create(self, request: CreateRequest, *, name: str, platform: str) -> CreateResponse:
        """Make a container; an empty name is drawn. Raises NotFound, Conflict, InvalidArgument."""

    async def inspect(self, key: str, *, size: bool) -> ContainerInspect:
        """Everything about one. Raises NotFound."""

    async def rename(self, key: str, name: str) -> None:
        """Raises NotFound, Conflict, InvalidArgument."""

    async def update(self, key: str, change: HostConfig) -> UpdateResponse:
        """Change limits and restart policy: what is set in ``change``. Raises NotFound, Conflict, InvalidArgument."""

    async def remove(self, key: str, *, force: bool, volumes: bool) -> None:
        """Remove it, and with ``force`` end it first. Raises NotFound, Conflict."""

    async def prune(self, filters: Filters) -> PruneReport:
        """Remove all that do not run."""


class Lifecycle(Protocol):
    """What containers do. ``timeout`` in seconds, None is the container's own, -1 for ever."""

    async def start(self, key: str) -> None:
        """Raises NotFound, NotModified when it runs, Conflict, and what made the start fail."""

    async def stop(self, key: str, *, signal_name: str, timeout: int | None) -> None:
        """Raises NotFound, NotModified when it does not run, InvalidArgument."""

    async def restart(self, key: str, *, signal_name: str, timeout: int | None) -> None:
        """Raises as stop and start do."""

    async def kill(self, key: str, *, signal_name: str) -> None:
        """An empty signal is SIGKILL. Raises NotFound, Conflict, InvalidArgument."""

    async def pause(self, key: str) -> None:
        """Raises NotFound, Conflict."""

    async def unpause(self, key: str) -> None:
        """Raises NotFound, Conflict."""

    def wait(self, key: str, condition: str) -> Awaitable[int]:
        """Registers at once; the exit code comes later. Raises NotFound at once."""

    async def top(self, key: str, ps_args: str) -> TopResponse:
        """The processes inside. Raises NotFound, Conflict when it does not run, InvalidArgument."""


class Backend(Store, Lifecycle, container_streams.Backend, Protocol):
    """All that the routes need."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/containers/json", partial(list_containers, backend)),
        Route("POST", "/containers/create", partial(create, backend), uninterrupted=True),
        Route("POST", "/containers/prune", partial(prune, backend), since=ApiVersion(1, 25), uninterrupted=True),
        Route("GET", "/containers/{name}/json", partial(inspect, backend)),
        Route("GET", "/containers/{name}/top", partial(top, backend)),
        Route("POST", "/containers/{name}/start", partial(start, backend), uninterrupted=True),
        Route("POST", "/containers/{name}/stop", partial(stop, backend), uninterrupted=True),
        Route("POST", "/containers/{name}/restart", partial(restart, backend), uninterrupted=True),
        Route("POST", "/containers/{name}/kill", partial(kill, backend), uninterrupted=True),
        Route("POST", "/containers/{name}/rename", partial(rename, backend), uninterrupted=True),
        Route("POST", "/containers/{name}/update", partial(update, backend), uninterrupted=True),
        Route("POST", "/containers/{name}/pause", partial(pause, backend), uninterrupted=True),
        Route("POST", "/containers/{name}/unpause", partial(unpause, backend), uninterrupted=True),
        Route("POST", "/containers/{name}/wait", partial(wait, backend)),
        Route("DELETE", "/containers/{name}", partial(remove, backend), uninterrupted=True),
        *container_streams.routes(backend),
    ]


async def list_containers(backend: Store, request: Request) -> Response:
    """``docker ps``. Clients before 1.22 sent before and since by themselves; both are filters now."""
    query = request.query
    filters = query.filters()
    bounds = {name: (query.text(name),) for name in ("before", "since") if query.text(name)}
    if bounds:
        filters = Filters({**filters.terms, **bounds})
    containers = await backend.list(
        everything=query.flag("all"), limit=query.integer("limit", 0), size=query.flag("size"), filters=filters
    )
    return Json(containers)


async def create(backend: Store, request: Request) -> Response:
    """``docker create``."""
    wanted, warnings = adapt(await request.json(CreateRequest), request.version)
    platform = request.query.text("platform") if request.version >= PLATFORM_SINCE else ""
    created = await backend.create(wanted, name=request.query.text("name"), platform=platform)
    return Json(replace(created, warnings=[*created.warnings, *warnings]), status=201)


async def prune(backend: Store, request: Request) -> Response:
    """``docker container prune``."""
    return Json(await backend.prune(request.query.filters()))


async def inspect(backend: Store, request: Request) -> Response:
    """``docker inspect``."""
    return Json(await backend.inspect(request.path["name"], size=request.query.flag("size")))


async def top(backend: Lifecycle, request: Request) -> Response:
    """``docker top``."""
    return Json(await backend.top(request.path["name"], request.query.text("ps_args")))


async def start(backend: Lifecycle, request: Request) -> Response:
    """``docker start``. A body was a host configuration once, and is refused as dockerd does."""
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or int(length) > LONGEST_EMPTY_BODY:
        raise InvalidArgument(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    if request.query.text("checkpoint"):
        raise NotBuilt("starting from a checkpoint is not built yet")
    await backend.start(request.path["name"])
    return Empty()


async def stop(backend: Lifecycle, request: Request) -> Response:
    """``docker stop``."""
    signal_name, timeout = _stop_options(request)
    await backend.stop(request.path["name"], signal_name=signal_name, timeout=timeout)
    return Empty()


async def restart(backend: Lifecycle, request: Request) -> Response:
    """``docker restart``."""
    signal_name, timeout = _stop_options(request)
    await backend.restart(request.path["name"], signal_name=signal_name, timeout=timeout)
    return Empty()


async def kill(backend: Lifecycle, request: Request) -> Response:
    """``docker kill``."""
    await backend.kill(request.path["name"], signal_name=request.query.text("signal"))
    return Empty()


async def rename(backend: Store, request: Request) -> Response:
    """``docker rename``."""
    await backend.rename(request.path["name"], request.query.text("name"))
    return Empty()


async def update(backend: Store, request: Request) -> Response:
    """``docker update``: a HostConfig's limits and restart policy; no limit of processes may be 0 or less."""
    body = await request.json(HostConfig)
    change = HostConfig(**{name: getattr(body, name) for name in UPDATABLE})
    pids = change.pids_limit if request.version >= PIDS_LIMIT_SINCE else None
    return Json(
        await backend.update(
            request.path["name"],
            replace(
                change,
                pids_limit=None if pids is None else max(pids, 0),
                kernel_memory=change.kernel_memory if request.version < NO_KERNEL_MEMORY_SINCE else 0,
            ),
        )
    )


async def pause(backend: Lifecycle, request: Request) -> Response:
    """``docker pause``."""
    await backend.pause(request.path["name"])
    return Empty()


async def unpause(backend: Lifecycle, request: Request) -> Response:
    """``docker unpause``."""
    await backend.unpause(request.path["name"])
    return Empty()


async def wait(backend: Lifecycle, request: Request) -> Response:
    """``docker wait``, and the half of ``docker run`` that learns the exit code."""
    early = request.version >= EARLY_WAIT_SINCE
    condition = (request.query.text("condition") if early else "") or CONDITIONS[0]
    if condition not in CONDITIONS:
        raise InvalidArgument(f'invalid condition: "{condition}"')
    code = asyncio.ensure_future(backend.wait(request.path["name"], condition))
    if not early:
        return Json(WaitResponse(status_code=await code))
    silent = condition == "removed" and request.version < REMOVAL_ERRORS_SINCE
    return Chunked(_exit_code(code, silent=silent), "application/json", eager=True)


async def remove(backend: Store, request: Request) -> Response:
    """``docker rm``."""
    query = request.query
    if query.flag("link"):
        raise NotBuilt("removing a link is not built yet")
    await backend.remove(request.path["name"], force=query.flag("force"), volumes=query.flag("v"))
    return Empty()


def _stop_options(request: Request) -> tuple[str, int | None]:
    signal_name = request.query.text("signal") if request.version >= SIGNAL_SINCE else ""
    seconds = request.query.text("t")
    return signal_name, atoi(seconds) if seconds else None


async def _exit_code(code: asyncio.Future[int], *, silent: bool) -> AsyncIterator[bytes]:
    """The one object of a wait; before 1.34 a failed removal could only be told by sending none."""
    try:
        answer = WaitResponse(status_code=await code)
    except WherryError as error:
        if silent:
            return
        answer = WaitResponse(status_code=-1, error=WaitError(message=error.message))
    finally:
        code.cancel()
    yield msgspec.json.encode(answer) + b"\n"
