"""A request as a handler and the hooks see it, and what is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from wherry.api.server.head import Headers
from wherry.api.server.query import QueryString
from wherry.registry.errors import RegistryError, encode
from wherry.registry.storage import Reader

JSON = "application/json; charset=utf-8"


class Body(Protocol):
    """The body of a request, read while it comes."""

    length: int | None
    """Bytes announced; None for a chunked body."""
    received: int
    """Bytes read so far."""

    def readinto(self, buffer: memoryview) -> int:
        """The next bytes, waiting for some; 0 at the end. Raises ConnectionError when the client goes or stalls."""

    def read(self, limit: int) -> bytes:
        """The whole body. Raises BadSize (413) when there are more than ``limit`` bytes."""


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """One request."""

    identifier: str
    """A UUID, for logs and events."""
    method: str
    path: str
    """Decoded; without the configured prefix."""
    query: QueryString
    headers: Headers
    client: str
    """Who is connected, ``address:port``: a proxy, where there is one."""
    secure: bool
    """Over TLS to us."""
    target: str
    """Path and query as they came, for the access log."""
    protocol: str
    """``HTTP/1.1`` or ``HTTP/1.0``."""
    body: Body
    route: str = ""
    """Which operation it is: see ``hooks.Observer.answered``."""
    user: str = ""
    """Who it is, as the authorizer found out."""
    mountable: bool = True
    """Whether the client may pull from the repository that it wants to mount a blob from."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes of an open file, as the body of an answer; whoever sends it closes the reader.

    The reader stands at ``offset`` where it has no descriptor.
    """

    reader: Reader
    offset: int
    length: int


@dataclass(slots=True, kw_only=True)
class Response:
    """An answer. For HEAD the body is not sent, but its length is announced."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Stretch | Iterator[bytes] = b""
    """An iterator is sent chunked, or as is when ``length`` says how many bytes it gives; it is closed at the end."""
    length: int | None = None
    """Bytes of the body where it is an iterator, or of a body that is not there because of HEAD."""


def failure(error: RegistryError) -> Response:
    """The answer that tells ``error``."""
    return Response(status=error.status, headers={"Content-Type": JSON, **error.headers}, body=encode(error))
