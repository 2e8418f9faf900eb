"""What a route is, what a handler is given and what it may answer.

A noun's file in ``api/routes/`` declares its ``Backend`` protocol and one table of routes:

    def routes(backend: Backend) -> list[Route]:
        return [
            Route("GET", "/volumes", partial(list_volumes, backend)),
            Route("DELETE", "/volumes/{name}", partial(remove_volume, backend)),
        ]

    async def remove_volume(backend: Backend, request: Request) -> Response:
        await backend.remove(request.path["name"], force=request.query.flag("force"))
        return Empty(204)

``{name}`` stands for one path segment; ``{name:path}`` for several (image names have slashes). Paths are written
without the version prefix. An error is raised (``lib.errors``), never returned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from wherry.lib.filters import Filters

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class ApiVersion:
    """A version of the Engine API, comparable: ``request.version >= ApiVersion(1, 44)``."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class Query(Protocol):
    """The query string of a request."""

    def text(self, name: str, default: str = "") -> str:
        """The first value of ``name``."""

    def texts(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean by Docker's rule: absent is the default; empty, 0, no, false, none are false; the rest true."""

    def integer(self, name: str, default: int) -> int:
        """A decimal number. Raises InvalidArgument."""

    def filters(self) -> Filters:
        """The ``filters`` parameter. Raises InvalidArgument."""

    def has(self, name: str) -> bool:
        """Whether the parameter was given at all."""


class Stream(Protocol):
    """A connection taken over from HTTP: raw bytes both ways, each direction closable by itself."""

    async def read(self) -> bytes:
        """The next bytes from the client; empty once it has half-closed or gone."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client is slow. Raises ConnectionError once it is gone."""

    async def close_write(self) -> None:
        """Half-close: the client reads end of file, and may still send."""

    async def close(self) -> None:
        """End the connection after what was written has been sent."""


class Request(Protocol):
    """One request as a handler sees it."""

    method: str
    path: Mapping[str, str]
    query: Query
    headers: Mapping[str, str]
    version: ApiVersion

    async def body(self, limit: int = ...) -> bytes:
        """The whole body. Raises InvalidArgument when it is larger than ``limit`` bytes."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece, unbounded, with back-pressure on the client (for load, import, build)."""

    async def json(self, model: type[T], *, optional: bool = False) -> T:
        """The body decoded as ``model`` (a Wire type). Unknown fields are ignored; null means the default.

        With ``optional`` an empty body gives ``model()``. Raises InvalidArgument in Docker's words.
        """

    async def hijack(self, content_type: str) -> Stream:
        """Answer 101 UPGRADED (or 200 with a raw stream where no upgrade was asked) and take the connection over."""

    async def switch(self, headers: Mapping[str, str]) -> Stream:
        """Answer 101 with ``headers`` (``Upgrade`` among them) and take the connection over: websocket, h2c."""

    async def gone(self) -> None:
        """Returns when the client has hung up. After a hijack the handler is not cancelled: reads end, writes fail."""


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON answer; ``value`` is anything msgspec can encode."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Empty:
    """An answer without a body."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Text:
    """A plain text answer."""

    text: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunked:
    """A streamed answer, one chunk per item, sent as it comes.

    The status line goes out with the first item (or at once with ``eager``), so that an error raised before it still
    gets its own status. The iterator is closed (``aclose``) when the client hangs up. ``status`` is 200.
    """

    chunks: AsyncIterator[bytes]
    content_type: str
    eager: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """The handler has hijacked the connection and is done with it."""


Response = Json | Empty | Text | Chunked | Taken
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a noun's URL table.

    A handler is cancelled when its client hangs up; one that changes state and is soon done says ``uninterrupted`` and
    runs to its end all the same.
    """

    method: str
    pattern: str
    handler: Handler
    since: ApiVersion = ApiVersion(1, 24)
    uninterrupted: bool = False
