"""The URL table of networks."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from wherry.api.server.routing import ApiVersion, Empty, Json, Request, Response, Route
from wherry.lib.filters import Filters
from wherry.wire.network import (
    ConnectRequest,
    DisconnectRequest,
    NetworkCreateRequest,
    NetworkCreateResponse,
    NetworkInspect,
    NetworksPruneReport,
    NetworkSummary,
)


class Backend(Protocol):
    """What is done with networks."""

    def list(self, filters: Filters | None = None) -> list[NetworkSummary]:
        """Those that the filters let through."""

    def inspect(self, key: str, *, scope: str = "") -> NetworkInspect:
        """One network."""

    async def create(self, request: NetworkCreateRequest) -> NetworkCreateResponse:
        """Make a network."""

    async def remove(self, key: str) -> None:
        """Remove a network."""

    async def connect(self, key: str, request: ConnectRequest) -> None:
        """Connect a container."""

    async def disconnect(self, key: str, request: DisconnectRequest) -> None:
        """Disconnect a container."""

    async def prune(self, filters: Filters | None = None) -> NetworksPruneReport:
        """Remove what nobody uses."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/networks", partial(list_networks, backend)),
        Route("POST", "/networks/create", partial(create_network, backend)),
        Route("POST", "/networks/prune", partial(prune_networks, backend), since=ApiVersion(1, 25)),
        Route("GET", "/networks/{id}", partial(inspect_network, backend)),
        Route("DELETE", "/networks/{id}", partial(remove_network, backend)),
        Route("POST", "/networks/{id}/connect", partial(connect_container, backend)),
        Route("POST", "/networks/{id}/disconnect", partial(disconnect_container, backend)),
    ]


async def list_networks(backend: Backend, request: Request) -> Response:
    """``docker network ls``."""
    return Json(backend.list(request.query.filters()))


async def inspect_network(backend: Backend, request: Request) -> Response:
    """``docker network inspect``. ``verbose`` adds swarm services, which there are none of here."""
    return Json(backend.inspect(request.path["id"], scope=request.query.text("scope")))


async def create_network(backend: Backend, request: Request) -> Response:
    """``docker network create``."""
    return Json(await backend.create(await request.json(NetworkCreateRequest)), 201)


async def remove_network(backend: Backend, request: Request) -> Response:
    """``docker network rm``."""
    await backend.remove(request.path["id"])
    return Empty(204)


async def connect_container(backend: Backend, request: Request) -> Response:
    """``docker network connect``."""
    await backend.connect(request.path["id"], await request.json(ConnectRequest))
    return Empty(200)


async def disconnect_container(backend: Backend, request: Request) -> Response:
    """``docker network disconnect``."""
    await backend.disconnect(request.path["id"], await request.json(DisconnectRequest))
    return Empty(200)


async def prune_networks(backend: Backend, request: Request) -> Response:
    """``docker network prune``."""
    return Json(await backend.prune(request.query.filters()))
