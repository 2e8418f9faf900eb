"""The URL table of volumes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from wherry.api.server.routing import ApiVersion, Empty, Json, Request, Response, Route
from wherry.lib.errors import NotBuilt
from wherry.lib.filters import Filters
from wherry.wire.volume import Volume, VolumeCreateRequest, VolumeListResponse, VolumesPruneReport

PRUNES_ANONYMOUS_SINCE = ApiVersion(1, 42)
"""Before, a prune took named volumes too."""


class Backend(Protocol):
    """What is done with volumes."""

    async def create(
        self,
        name: str = "",
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or give back the one of that name."""

    def get(self, name: str) -> Volume:
        """One volume."""

    def list_volumes(self, filters: Filters | None = None) -> VolumeListResponse:
        """All volumes that the filters let through."""

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume."""

    async def prune(self, filters: Filters | None = None) -> VolumesPruneReport:
        """Remove what nobody uses."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/volumes", partial(list_volumes, backend)),
        Route("POST", "/volumes/create", partial(create_volume, backend)),
        Route("POST", "/volumes/prune", partial(prune_volumes, backend), since=ApiVersion(1, 25)),
        Route("GET", "/volumes/{name}", partial(inspect_volume, backend)),
        Route("DELETE", "/volumes/{name}", partial(remove_volume, backend)),
    ]


async def list_volumes(backend: Backend, request: Request) -> Response:
    """``docker volume ls``."""
    return Json(backend.list_volumes(request.query.filters()))


async def create_volume(backend: Backend, request: Request) -> Response:
    """``docker volume create``."""
    asked = await request.json(VolumeCreateRequest)
    if bytes(asked.cluster_volume_spec) not in (b"", b"null"):
        raise NotBuilt("cluster volumes are not built yet")
    return Json(await backend.create(asked.name, asked.driver, asked.driver_opts, asked.labels), 201)


async def prune_volumes(backend: Backend, request: Request) -> Response:
    """``docker volume prune``."""
    filters = request.query.filters()
    if request.version < PRUNES_ANONYMOUS_SINCE:
        filters = Filters({**filters.terms, "all": ("true",)})
    return Json(await backend.prune(filters))


async def inspect_volume(backend: Backend, request: Request) -> Response:
    """``docker volume inspect``."""
    return Json(backend.get(request.path["name"]))


async def remove_volume(backend: Backend, request: Request) -> Response:
    """``docker volume rm``."""
    await backend.remove(request.path["name"], force=request.query.flag("force"))
    return Empty(204)
