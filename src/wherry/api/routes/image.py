"""The URL table of images, and what each API version expects in their answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from wherry.api.routes.platforms import decode_platform, platform_in
from wherry.api.server.routing import ApiVersion, Chunked, Json, Request, Response, Route, Text
from wherry.lib.clock import ZERO
from wherry.lib.errors import InvalidArgument
from wherry.lib.filters import Filters
from wherry.oci.manifest import Platform
from wherry.wire.image import DeleteItem, HistoryItem, ImageInspect, ImageSummary, PruneReport

EMPTY_LISTS_SINCE = ApiVersion(1, 43)
"""Before, an image without names was listed under ``<none>``."""
NO_VIRTUAL_SIZE_SINCE = ApiVersion(1, 44)
NO_CONTAINER_SINCE = ApiVersion(1, 45)
LIST_MANIFESTS_SINCE = ApiVersion(1, 47)
ARCHIVE_PLATFORM_SINCE = HISTORY_PLATFORM_SINCE = MANIFESTS_SINCE = ApiVersion(1, 48)
INSPECT_PLATFORM_SINCE = ApiVersion(1, 49)
REMOVE_PLATFORM_SINCE = ApiVersion(1, 50)
OCI_CONFIG_SINCE = ApiVersion(1, 50)
"""Before, an image's config had the members of a container's."""
FILTER_PARAMETER_UNTIL = ApiVersion(1, 41)
SKOPEO_SPEAKS = ApiVersion(1, 22)
"""What skopeo before 1.12 (Debian 12's) asks for, whatever the daemon offers; archives have not changed since."""

_ALWAYS: dict[str, Any] = {
    "Cmd": None,
    "Entrypoint": None,
    "Env": None,
    "Labels": None,
    "OnBuild": None,
    "User": "",
    "Volumes": None,
    "WorkingDir": "",
}
_LEGACY: dict[str, Any] = {
    **_ALWAYS,
    "AttachStderr": False,
    "AttachStdin": False,
    "AttachStdout": False,
    "Domainname": "",
    "Hostname": "",
    "Image": "",
    "OpenStdin": False,
    "StdinOnce": False,
    "Tty": False,
}


class Backend(Protocol):
    """What is done with images."""

    def list_images(
        self, filters: Filters, *, all_: bool = False, shared_size: bool = False, manifests: bool = False
    ) -> list[ImageSummary]:
        """The images that pass the filters, youngest first."""

    def inspect(self, name: str, platform: Platform | None = None, *, manifests: bool = False) -> ImageInspect:
        """One image in full."""

    def history(self, name: str, platform: Platform | None = None) -> list[HistoryItem]:
        """How an image came to be."""

    async def tag(self, name: str, repository: str, tag: str) -> None:
        """Give an image another name."""

    async def remove(
        self, name: str, platform: Platform | None = None, *, force: bool = False, prune: bool = True
    ) -> list[DeleteItem]:
        """Remove a name or an image."""

    async def prune(self, filters: Filters) -> PruneReport:
        """Remove what nobody uses."""

    def load(
        self, archive: AsyncIterator[bytes], *, quiet: bool, platform: Platform | None = None
    ) -> AsyncIterator[bytes]:
        """Load an archive, telling the progress in JSON lines."""

    def save(self, names: Sequence[str], platform: Platform | None = None) -> AsyncIterator[bytes]:
        """Images as an archive."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/images/json", partial(list_images, backend)),
        Route("GET", "/images/get", partial(save_images, backend), since=SKOPEO_SPEAKS),
        Route("POST", "/images/load", partial(load_images, backend), since=SKOPEO_SPEAKS),
        Route("POST", "/images/prune", partial(prune_images, backend), since=ApiVersion(1, 25)),
        Route("GET", "/images/{name:path}/json", partial(inspect_image, backend)),
        Route("GET", "/images/{name:path}/history", partial(image_history, backend)),
        Route("GET", "/images/{name:path}/get", partial(save_image, backend), since=SKOPEO_SPEAKS),
        Route("POST", "/images/{name:path}/tag", partial(tag_image, backend)),
        Route("DELETE", "/images/{name:path}", partial(remove_image, backend)),
    ]


async def list_images(backend: Backend, request: Request) -> Response:
    """``docker images``."""
    filters = request.query.filters()
    pattern = request.query.text("filter")
    if pattern and request.version < FILTER_PARAMETER_UNTIL:
        filters = Filters({**filters.terms, "reference": (*filters.get("reference"), pattern)})
    found = backend.list_images(
        filters,
        all_=request.query.flag("all"),
        shared_size=request.query.flag("shared-size"),
        manifests=request.version >= LIST_MANIFESTS_SINCE and request.query.flag("manifests"),
    )
    return Json([_summary(one, request.version) for one in found])


async def inspect_image(backend: Backend, request: Request) -> Response:
    """``docker image inspect``."""
    manifests = request.version >= MANIFESTS_SINCE and request.query.flag("manifests")
    platform = platform_in(request, INSPECT_PLATFORM_SINCE)
    if manifests and platform is not None:
        raise InvalidArgument("conflicting options: manifests and platform options cannot both be set")
    return Json(_inspect(backend.inspect(request.path["name"], platform, manifests=manifests), request.version))


async def image_history(backend: Backend, request: Request) -> Response:
    """``docker history``."""
    return Json(backend.history(request.path["name"], platform_in(request, HISTORY_PLATFORM_SINCE)))


async def tag_image(backend: Backend, request: Request) -> Response:
    """``docker tag``."""
    await backend.tag(request.path["name"], request.query.text("repo"), request.query.text("tag"))
    return Text("", status=201)


async def remove_image(backend: Backend, request: Request) -> Response:
    """``docker rmi``."""
    name = request.path["name"]
    if not name.strip():
        raise InvalidArgument("image name cannot be blank")
    prune = not request.query.flag("noprune")
    platforms = request.query.texts("platforms") if request.version >= REMOVE_PLATFORM_SINCE else []
    if len(platforms) > 1:
        raise InvalidArgument("multiple platforms are not supported")
    platform = decode_platform(platforms[0]) if platforms else None
    return Json(await backend.remove(name, platform, force=request.query.flag("force"), prune=prune))


async def prune_images(backend: Backend, request: Request) -> Response:
    """``docker image prune``."""
    return Json(await backend.prune(request.query.filters()))


async def load_images(backend: Backend, request: Request) -> Response:
    """``docker load``: whatever happens, the status is 200 and the last line says it, as in Docker."""
    quiet = request.query.flag("quiet", default=True)
    platform = _only_platform(request)
    return Chunked(backend.load(request.chunks(), quiet=quiet, platform=platform), "application/json")


async def save_image(backend: Backend, request: Request) -> Response:
    """``docker save`` of one image."""
    return Chunked(backend.save([request.path["name"]], _only_platform(request)), "application/x-tar")


async def save_images(backend: Backend, request: Request) -> Response:
    """``docker save`` of several."""
    return Chunked(backend.save(request.query.texts("names"), _only_platform(request)), "application/x-tar")


def _only_platform(request: Request) -> Platform | None:
    """The parameter of ``save`` and ``load``, which later versions of the API let be given several times."""
    if request.version >= ARCHIVE_PLATFORM_SINCE and len(request.query.texts("platform")) > 1:
        raise InvalidArgument(
            "multiple platform parameters are not supported in this API version; use API version 1.52 or later"
        )
    return platform_in(request, ARCHIVE_PLATFORM_SINCE)


def _summary(summary: ImageSummary, version: ApiVersion) -> ImageSummary:
    if version < EMPTY_LISTS_SINCE:
        unnamed = not summary.repo_tags and not summary.repo_digests
        summary = msgspec.structs.replace(
            summary,
            repo_tags=["<none>:<none>"] if unnamed else (summary.repo_tags or None),
            repo_digests=["<none>@<none>"] if unnamed else (summary.repo_digests or None),
        )
    if version < MANIFESTS_SINCE:
        summary = msgspec.structs.replace(summary, descriptor=None)
    if version < NO_VIRTUAL_SIZE_SINCE:
        summary = msgspec.structs.replace(summary, virtual_size=summary.size)
    return summary


def _inspect(image: ImageInspect, version: ApiVersion) -> ImageInspect:
    if version < NO_VIRTUAL_SIZE_SINCE:
        image = msgspec.structs.replace(image, virtual_size=image.size, created=image.created or ZERO)
    if version < NO_CONTAINER_SINCE:
        image = msgspec.structs.replace(image, container_config=_complete(image.container_config, _LEGACY))
    else:
        image = msgspec.structs.replace(image, container=None, container_config=None)
    if version < MANIFESTS_SINCE:
        image = msgspec.structs.replace(image, descriptor=None)
    defaults = _ALWAYS if version >= OCI_CONFIG_SINCE else _LEGACY
    return msgspec.structs.replace(image, config=_complete(image.config, defaults))


def _complete(config: dict[str, Any] | None, defaults: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted({**defaults, **(config or {})}.items()))
