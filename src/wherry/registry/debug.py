"""What the debug address serves: ``/debug/health``, and the pages that others add (metrics)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from wherry.registry.errors import NameUnknown, Unsupported
from wherry.registry.health import Health
from wherry.registry.http.message import JSON, Request, Response, failure

Page = Callable[[], Response]


class DebugApp:
    """Answers requests to the debug address."""

    def __init__(self, health: Health, pages: Mapping[str, Page]) -> None:
        self._pages = {"/debug/health": lambda: health_page(health), **pages}

    def handle(self, request: Request) -> Response:
        """A page by its path."""
        page = self._pages.get(request.path)
        if page is None:
            return failure(NameUnknown("page not found"))
        if request.method not in ("GET", "HEAD"):
            return failure(Unsupported(headers={"Allow": "GET, HEAD"}))
        return page()


def health_page(health: Health) -> Response:
    """What is not well, by check; 503 if there is anything."""
    failing = health.failing()
    return Response(status=503 if failing else 200, headers={"Content-Type": JSON}, body=msgspec.json.encode(failing))
