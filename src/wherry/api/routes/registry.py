"""The URL table of what is asked of registries."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from wherry.api.routes.credentials import credentials_in
from wherry.api.server.routing import ApiVersion, Json, Request, Response, Route
from wherry.lib.errors import InvalidArgument
from wherry.lib.filters import Filters
from wherry.transfer.remote.credentials import AuthConfig, Credentials, credentials_of
from wherry.wire.registry import AuthAnswer, DistributionInspect, SearchResult


class Backend(Protocol):
    """What is asked of registries."""

    async def log_in(self, credentials: Credentials) -> AuthAnswer:
        """Try the credentials."""

    async def distribution(self, name: str, credentials: Credentials | None) -> DistributionInspect:
        """What is behind a name."""

    async def search(
        self, term: str, limit: int, filters: Filters, credentials: Credentials | None
    ) -> list[SearchResult]:
        """Search a registry."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("POST", "/auth", partial(log_in, backend)),
        Route("GET", "/distribution/{name:path}/json", partial(inspect_distribution, backend), since=ApiVersion(1, 30)),
        Route("GET", "/images/search", partial(search_images, backend)),
    ]


async def log_in(backend: Backend, request: Request) -> Response:
    """``docker login``."""
    credentials = credentials_of(await request.json(AuthConfig)) or Credentials()
    return Json(await backend.log_in(credentials))


async def inspect_distribution(backend: Backend, request: Request) -> Response:
    """What a name leads to at its registry."""
    return Json(await backend.distribution(request.path["name"], credentials_in(request)))


async def search_images(backend: Backend, request: Request) -> Response:
    """``docker search``."""
    query = request.query
    limit = _limit(query.text("limit"))
    return Json(await backend.search(query.text("term"), limit, query.filters(), credentials_in(request)))


def _limit(text: str) -> int:
    try:
        return int(text or "0")
    except ValueError:
        raise InvalidArgument(f'invalid limit specified: strconv.Atoi: parsing "{text}": invalid syntax') from None
