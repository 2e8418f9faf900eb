"""``POST /images/create``: ``docker pull``, and ``docker import`` from the body or from a URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Protocol

import msgspec

from wherry.api.server.routing import Chunked, Request, Response, Route

JSON = "application/json"


class Importer(Protocol):
    """Makes images of root file systems."""

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


class Puller(Protocol):
    """Brings images in. What goes wrong before the first line is raised, the rest is the last line."""

    def pull(self, image: str, tag: str, *, platform: str = "", auth: str = "") -> AsyncIterator[bytes]:
        """Pull a tag, or without one all of them; JSON lines. ``auth`` is the header X-Registry-Auth."""

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
        """Make an image of what a URL serves; JSON lines."""


def routes(importer: Importer, puller: Puller) -> list[Route]:
    """The URL of creating images."""
    return [Route("POST", "/images/create", partial(create_image, importer, puller))]


async def create_image(importer: Importer, puller: Puller, request: Request) -> Response:
    """``docker pull`` and ``docker import``."""
    query = request.query
    source, platform = query.text("fromSrc"), query.text("platform")
    if not source:
        auth = request.headers.get("x-registry-auth", "")
        lines = puller.pull(query.text("fromImage"), query.text("tag"), platform=platform, auth=auth)
        return Chunked(lines, JSON)
    repository, tag, message = query.text("repo"), query.text("tag"), query.text("message")
    changes = query.texts("changes")
    if source != "-":
        lines = puller.import_url(
            source, repository=repository, tag=tag, message=message, changes=changes, platform=platform
        )
        return Chunked(lines, JSON)
    image_id = await importer.import_(
        request.chunks(), repository=repository, tag=tag, message=message, changes=changes, platform=platform
    )
    return Chunked(_one(msgspec.json.encode({"status": image_id}) + b"\r\n"), JSON)


async def _one(line: bytes) -> AsyncIterator[bytes]:
    yield line
