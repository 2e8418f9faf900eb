"""GET and HEAD /_ping: what every client asks first."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from wherry.api.server.routing import Request, Response, Route, Text


class Backend(Protocol):
    """What a client learns before its first request."""

    def swarm_state(self) -> str:
        """``inactive``, or ``active/manager`` and the like."""

    def builder_version(self) -> str:
        """1 for the classic builder, 2 for BuildKit; empty while neither is there."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/_ping", partial(ping, backend)),
        Route("HEAD", "/_ping", partial(ping, backend)),
    ]


async def ping(backend: Backend, request: Request) -> Response:
    """The body is OK; the rest is in the headers."""
    headers = {
        "Cache-Control": "no-cache, no-store, must-revalidate",
        "Pragma": "no-cache",
        "Swarm": backend.swarm_state(),
    }
    builder = backend.builder_version()
    if builder:
        headers["Builder-Version"] = builder
    return Text("" if request.method == "HEAD" else "OK", headers=headers)
