"""``docker push``: images to registries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol

from wherry.api.routes.credentials import credentials_in
from wherry.api.routes.platforms import platform_in
from wherry.api.server.routing import ApiVersion, Chunked, Request, Response, Route
from wherry.oci.manifest import Platform
from wherry.transfer.remote.credentials import Credentials

PLATFORM_SINCE = ApiVersion(1, 46)
"""Before, clients may send one all the same; dockerd did not look."""


class Backend(Protocol):
    """Pushes."""

    def push(
        self, name: str, tag: str, credentials: Credentials | None, platform: Platform | None
    ) -> AsyncIterator[bytes]:
        """Push a tag, or all of a name; the progress as JSON lines."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [Route("POST", "/images/{name:path}/push", partial(push, backend))]


async def push(backend: Backend, request: Request) -> Response:
    """The status line goes out with the first line of progress; what fails later is the last line."""
    platform = platform_in(request, PLATFORM_SINCE)
    lines = backend.push(request.path["name"], request.query.text("tag"), credentials_in(request), platform)
    return Chunked(lines, "application/json")
