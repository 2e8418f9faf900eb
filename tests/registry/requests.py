"""Requests as the server would hand them to a hook."""

from __future__ import annotations

from wherry.api.server.head import Headers
from wherry.api.server.query import QueryString
from wherry.registry.http.message import Request


class NoBody:
    """The body of a GET."""

    length: int | None = 0
    received = 0

    def readinto(self, _buffer: memoryview) -> int:
        return 0

    def read(self, _limit: int) -> bytes:
        return b""


def request(method: str = "GET", path: str = "/v2/", route: str = "", **headers: str) -> Request:
    """A request; header names are written with underscores."""
    return Request(
        identifier="6b29fc40-ca47-1067-b31d-00dd010662da",
        method=method,
        path=path,
        query=QueryString(""),
        headers=Headers({name.replace("_", "-"): value for name, value in headers.items()}),
        client="192.0.2.1:1234",
        secure=False,
        target=path,
        protocol="HTTP/1.1",
        body=NoBody(),
        route=route,
    )
