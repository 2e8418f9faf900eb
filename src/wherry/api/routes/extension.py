"""The URL table of what goes beyond Docker: everything below ``/wherry/``, which no Docker API has or will have.

GET /wherry/df                       each byte of the data root by what it is for, and the disk budget
POST /wherry/fsck?repair=1&deep=1    JSON lines: {"Finding": …} as found, {"Check": …} as done, {"Summary": …} last
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Protocol

import msgspec

from wherry.api.server.routing import Chunked, Json, Request, Response, Route

_encode = msgspec.json.Encoder().encode


class Checker(Protocol):
    """Compares state, disk and kernel."""

    def report(self, *, repair: bool, deep: bool) -> AsyncIterator[dict[str, Any]]:
        """What a check finds, as it finds it, in the words of the wire."""


class Explainer(Protocol):
    """Knows what each byte is for."""

    async def explain(self) -> dict[str, Any]:
        """In the words of the wire."""


def routes(checker: Checker, explainer: Explainer) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/wherry/df", partial(explain, explainer)),
        Route("POST", "/wherry/fsck", partial(fsck, checker)),
    ]


async def explain(explainer: Explainer, _request: Request) -> Response:
    """The end of ``wherry system df -v``."""
    return Json(await explainer.explain())


async def fsck(checker: Checker, request: Request) -> Response:
    """``wherry system fsck``."""
    lines = checker.report(repair=request.query.flag("repair"), deep=request.query.flag("deep"))
    return Chunked(_lines(lines), "application/json", eager=True)


async def _lines(documents: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for document in documents:
        yield _encode(document) + b"\n"
