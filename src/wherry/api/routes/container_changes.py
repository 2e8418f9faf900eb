"""What containers have changed: as an image (``commit``), as a list (``diff``), as a tar of all their files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Protocol

from wherry.api.server.decode import decode_json
from wherry.api.server.routing import Chunked, Json, Request, Response, Route
from wherry.wire.container import ContainerConfig


class Backend(Protocol):
    """What is done with them. ``key`` is a name, an id or the unambiguous beginning of one."""

    async def commit(
        self,
        key: str,
        *,
        repository: str,
        tag: str,
        author: str,
        comment: str,
        changes: Sequence[str],
        config: ContainerConfig | None,
        pause: bool,
    ) -> str:
        """The new image's id. Raises NotFound, Conflict, InvalidArgument, Internal."""

    async def changes(self, key: str) -> list[tuple[str, int]]:
        """Paths, and what happened: 0 changed, 1 added, 2 deleted. Raises NotFound, Internal."""

    def export(self, key: str) -> AsyncIterator[bytes]:
        """The whole root as a tar. Raises NotFound, Conflict, Internal."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("POST", "/commit", partial(commit, backend), uninterrupted=True),
        Route("GET", "/containers/{name}/changes", partial(changes, backend)),
        Route("GET", "/containers/{name}/export", partial(export, backend)),
    ]


async def commit(backend: Backend, request: Request) -> Response:
    """``docker commit``; the body may hold a configuration."""
    body = (await request.body()).strip()
    query = request.query
    image_id = await backend.commit(
        query.text("container"),
        repository=query.text("repo"),
        tag=query.text("tag"),
        author=query.text("author"),
        comment=query.text("comment"),
        changes=query.texts("changes"),
        config=decode_json(body, ContainerConfig) if body not in (b"", b"null") else None,
        pause=query.flag("pause", default=True),
    )
    return Json({"Id": image_id}, status=201)


async def changes(backend: Backend, request: Request) -> Response:
    """``docker diff``; null for none, as dockerd says it."""
    found = await backend.changes(request.path["name"])
    return Json([{"Path": path, "Kind": kind} for path, kind in found] or None)


async def export(backend: Backend, request: Request) -> Response:
    """``docker export``."""
    return Chunked(backend.export(request.path["name"]), "application/octet-stream")
