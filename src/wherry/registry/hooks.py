"""Where authorization, pull-through, metrics and webhooks hang on: the protocols that the registry calls.

The server is one thread per connection, so every hook blocks as it likes, is called from many threads at once, and must
be safe for that. What happens with a request, in order:

    Observer.began ─▶ Authorizer.authorize ─▶ handler (Upstream on a miss) ─▶ Observer.happened ─▶ answer
        ─▶ Observer.answered

``/v2/…`` paths alone are authorized; ``/`` (health) and what does not parse as a route are not. ``happened`` comes once
a push or delete is durable and before its answer, and before the bytes of a pull; it must not wait for anything slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wherry.registry.http.message import Request, Response

PULL, PUSH, DELETE, MOUNT = "pull", "push", "delete", "mount"
"""Actions of an event; the first three are also those of an Access."""


@dataclass(frozen=True, slots=True)
class Access:
    """One thing that a request wants to do, in the words of a token's scope: ``repository:library/busybox:pull``."""

    kind: str
    """``repository``, or ``registry`` for the catalog."""
    name: str
    """The repository's name, or ``catalog``."""
    action: str
    """``pull``, ``push``, ``delete`` or ``*``."""


class Authorizer(Protocol):
    """Decides who may do what."""

    def authorize(self, request: Request, accesses: Sequence[Access]) -> str:
        """The user's name ("" for an anonymous one), when every access is allowed; none is asked for ``GET /v2/``.

        Raises AccessRefused (401 with a challenge), AccessDenied (403).
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Content has been pulled, pushed, mounted or deleted (distribution's notifications have the same facts)."""

    action: str
    repository: str
    digest: str
    """Empty for the deletion of a tag."""
    media_type: str = "application/octet-stream"
    """``application/octet-stream`` for a blob."""
    size: int = 0
    tag: str = ""
    """Set where the manifest was named by a tag."""
    from_repository: str = ""
    """Of a mount."""
    references: tuple[dict[str, object], ...] = ()
    """The descriptors in a pushed manifest."""
    url: str = ""
    """Absolute, of the content; empty for deletions."""
    request: Request | None = field(default=None, compare=False)
    """None: the registry did it by itself (pull-through, garbage collection)."""


class Observer(Protocol):
    """Hears of every request and event."""

    def began(self, request: Request) -> None:
        """A request's head has come."""

    def happened(self, event: Event) -> None:
        """See Event."""

    def answered(self, request: Request, status: int, *, sent: int, received: int, seconds: float) -> None:
        """The last byte of the answer has gone out, or the client has; bytes are those of the bodies.

        ``request.route`` names what was asked: base, manifest, blob, upload, uploads, tags, catalog, referrers, or ""
        for none of them.
        """


class Upstream(Protocol):
    """Another registry of which this one is a pull-through cache. With one, pushes are refused (UNSUPPORTED)."""

    def manifest(self, repository: str, reference: str) -> None:
        """Before a manifest is looked up here: have the store hold what upstream has under this tag or digest.

        Returns silently when upstream has none, or cannot be asked and what is here may be served.
        Raises a RegistryError to be answered as it is.
        """

    def blob(self, request: Request, repository: str, digest: str) -> Response | None:
        """A blob is not here: an answer that streams it (and keeps it), or None when upstream has none.

        Having put the blob into the store itself, it may answer with ``handlers.blobs.answer_blob``.
        """

    def tags(self, repository: str) -> list[str] | None:
        """Upstream's tags, or None: only those here are listed."""
