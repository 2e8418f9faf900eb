"""Builds: there is no builder yet, so no cache to prune; ``docker system prune`` asks. Building answers 501."""

from __future__ import annotations

from wherry.api.server.routing import ApiVersion, Json, Request, Response, Route


def routes() -> list[Route]:
    """The URL table."""
    return [Route("POST", "/build/prune", prune, since=ApiVersion(1, 31))]


async def prune(_: Request) -> Response:
    """``docker builder prune``: nothing was kept, nothing is freed."""
    return Json({"CachesDeleted": None, "SpaceReclaimed": 0})
