"""The URL table of manifests at registries, which Docker's API does not have: its command goes there by itself.

GET /wherry/manifests/{name}?insecure=1    a manifest or an index, with what its config says of the platform
PUT /wherry/manifests/{name}?insecure=1    push one; a name with a digest must have the digest of what is pushed
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from wherry.api.routes.credentials import credentials_in
from wherry.api.server.routing import Json, Request, Response, Route
from wherry.lib.errors import InvalidArgument
from wherry.transfer.remote.credentials import Credentials
from wherry.wire.manifest import Put, PutManifest, RemoteManifest


class Backend(Protocol):
    """Reads and writes manifests at registries."""

    async def fetch(self, name: str, credentials: Credentials | None, *, insecure: bool) -> RemoteManifest:
        """The manifest or index that ``name`` leads to."""

    async def put(self, name: str, put: PutManifest, credentials: Credentials | None, *, insecure: bool) -> str:
        """Push one; its digest."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/wherry/manifests/{name:path}", partial(fetch, backend)),
        Route("PUT", "/wherry/manifests/{name:path}", partial(put, backend)),
    ]


async def fetch(backend: Backend, request: Request) -> Response:
    """``wherry manifest create`` and ``inspect``."""
    return Json(await backend.fetch(_name(request), credentials_in(request), insecure=request.query.flag("insecure")))


async def put(backend: Backend, request: Request) -> Response:
    """``wherry manifest push``."""
    body = await request.json(PutManifest)
    digest = await backend.put(_name(request), body, credentials_in(request), insecure=request.query.flag("insecure"))
    return Json(Put(digest=digest), status=201)


def _name(request: Request) -> str:
    name = request.path["name"]
    if not name.strip():
        raise InvalidArgument("image name cannot be blank")
    return name
