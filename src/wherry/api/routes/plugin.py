"""Plugins: none can be installed yet, so the list is empty and no name is found. What would change that answers 501."""

from __future__ import annotations

from wherry.api.server.routing import Json, Request, Response, Route
from wherry.lib.errors import NotFound


def routes() -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/plugins", list_plugins),
        Route("GET", "/plugins/{name:path}/json", inspect_plugin),
    ]


async def list_plugins(_: Request) -> Response:
    """``docker plugin ls``."""
    return Json([])


async def inspect_plugin(request: Request) -> Response:
    """What ``docker inspect`` asks last of a name that nothing else has."""
    raise NotFound(f'plugin "{request.path["name"]}" not found')
