"""``POST /images/create``: ``docker pull``, and ``docker import`` from the body or from a URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Protocol

import msgspec

from wherry.api.routes.credentials import credentials_in
from wherry.api.server.routing import Chunked, Request, Response, Route
from wherry.transfer.remote.credentials import Credentials

JSON = "application/json"


class Importer(Protocol):
    """Makes images of root file systems that come as the request's body."""

    async def import_(
        self,
        archive: AsyncIterator[bytes],
        *,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> str:
        """Make an image of a tar; its id."""


class UrlImporter(Protocol):
    """The same of what a URL serves. What goes wrong before the first line is raised, the rest is the last line."""

    def import_url(
        self,
        source: str,
        *,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> AsyncIterator[bytes]:
        """Make an image of a tar; JSON lines."""


class Puller(Protocol):
    """Brings images in. What goes wrong before the first line is raised, the rest is the last line."""

    def pull(
        self, image: str, tag: str, *, platform: str = "", credentials: Credentials | None = None
    ) -> AsyncIterator[bytes]:
        """Pull a tag, or without one all of them; JSON lines."""


def routes(importer: Importer, url_importer: UrlImporter, puller: Puller) -> list[Route]:
    """The URL of creating images."""
    return [Route("POST", "/images/create", partial(create_image, importer, url_importer, puller))]


async def create_image(importer: Importer, url_importer: UrlImporter, puller: Puller, request: Request) -> Response:
    """``docker pull`` and ``docker import``."""
    query = request.query
    source, platform = query.text("fromSrc"), query.text("platform")
    if not source:
        credentials = credentials_in(request)
        lines = puller.pull(query.text("fromImage"), query.text("tag"), platform=platform, credentials=credentials)
        return Chunked(lines, JSON)
    repository, tag, message = query.text("repo"), query.text("tag"), query.text("message")
    changes = query.texts("changes")
    if source != "-":
        lines = url_importer.import_url(
            source, repository=repository, tag=tag, message=message, changes=changes, platform=platform
        )
        return Chunked(lines, JSON)
    image_id = await importer.import_(
        request.chunks(), repository=repository, tag=tag, message=message, changes=changes, platform=platform
    )
    return Chunked(_one(msgspec.json.encode({"status": image_id}) + b"\r\n"), JSON)


async def _one(line: bytes) -> AsyncIterator[bytes]:
    yield line
