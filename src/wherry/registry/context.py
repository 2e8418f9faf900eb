"""What every handler is given: the store, the settings, and who hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wherry.registry.config import Settings
from wherry.registry.hooks import Authorizer, Event, Observer, Upstream
from wherry.registry.http.message import Request
from wherry.registry.referrers import Referrers
from wherry.registry.store import Store
from wherry.registry.uploads import Uploads
from wherry.registry.urls import Urls


@dataclass(slots=True, kw_only=True)
class Context:
    """One registry."""

    settings: Settings
    store: Store
    uploads: Uploads
    urls: Urls
    referrers: Referrers = field(default_factory=Referrers)
    authorizer: Authorizer | None = None
    observers: Sequence[Observer] = ()
    upstream: Upstream | None = None

    @classmethod
    def make(cls, settings: Settings, store: Store) -> Context:
        """A registry on its own; the hooks are set later."""
        return cls(settings=settings, store=store, uploads=Uploads(store), urls=Urls(settings))

    def tell(self, event: Event) -> None:
        """Let every observer know."""
        for observer in self.observers:
            observer.happened(event)

    def tell_of_blob(
        self, action: str, request: Request, repository: str, digest: str, size: int, *, source: str = ""
    ) -> None:
        """The same of a blob that a request has pulled, pushed, or mounted from the repository ``source``."""
        url = self.urls.absolute(request, f"/v2/{repository}/blobs/{digest}")
        self.tell(
            Event(
                action=action,
                repository=repository,
                digest=digest,
                size=size,
                from_repository=source,
                url=url,
                request=request,
            )
        )
