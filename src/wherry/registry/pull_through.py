"""A registry that is a cache of another: what is not here is fetched, streamed to whoever asked, and kept.

manifest by tag      upstream is asked what the tag names; what it names now is fetched; upstream down → what is here
manifest by digest   fetched once
blob                 fetched once, for all clients that want it at the same time; its size is known from a manifest
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wherry.lib.errors import Forbidden, NotFound, Unauthorized, WherryError
from wherry.registry import names
from wherry.registry.context import Context
from wherry.registry.documents import Document
from wherry.registry.errors import AccessDenied, BadManifest, BlobUnknown, NotServing
from wherry.registry.handlers.blobs import answer_blob, blob_headers, cut
from wherry.registry.hooks import PULL
from wherry.registry.http.message import Request, Response
from wherry.registry.metrics import Metrics
from wherry.registry.pull_through_flight import Flight
from wherry.registry.pull_through_source import Source
from wherry.registry.store import Repository

logger = logging.getLogger(__name__)

MANIFESTS, BLOBS = "manifests", "blobs"
"""The labels of the metrics."""


class PullThrough:
    """``hooks.Upstream`` over a Source."""

    def __init__(self, context: Context, source: Source, metrics: Metrics) -> None:
        self._context = context
        self._store = context.store
        self._source = source
        self._metrics = metrics
        self._turn = threading.Condition()
        self._asking: set[tuple[str, str]] = set()
        self._flights: dict[str, Flight] = {}

    def manifest(self, repository: str, reference: str) -> None:
        """See Upstream."""
        self._metrics.proxy_requests.add(MANIFESTS)
        with self._alone(repository, reference) as first:
            here = self._store.repository(repository)
            if ":" in reference:
                if not here.has_manifest(reference):
                    self._guarded(lambda: self._fetch_manifest(here, reference), cached=False)
                    return
            elif first:
                cached = self._cached(here, reference)
                self._guarded(lambda: self._revalidate(here, reference), cached=cached)
                return
        self._metrics.proxy_hits.add(MANIFESTS)

    def blob(self, request: Request, repository: str, digest: str) -> Response | None:
        """See Upstream."""
        self._metrics.proxy_requests.add(BLOBS)
        size = self._size(repository, digest)
        if size is None:
            return None
        if self._store.blob_size(digest) is not None:
            if not self._linked(repository, digest):
                return None
            self._metrics.proxy_hits.add(BLOBS)
            return answer_blob(self._context, request, repository, digest)
        headers = blob_headers(digest)
        if request.method == "HEAD":
            return Response(headers=headers, length=size)
        status, offset, length = cut(request, headers, size)
        flight = self._join(repository, digest, size)
        flight.begun()
        self._context.tell_of_blob(PULL, request, repository, digest, size)
        return Response(status=status, headers=headers, body=flight.read(offset, length), length=length)

    def tags(self, repository: str) -> list[str] | None:
        """See Upstream."""
        try:
            return [tag for tag in self._source.tags(repository) if names.is_tag(tag)]
        except (WherryError, OSError) as error:
            logger.info("pull-through: tags of %s: %s", repository, error)
            return None

    # --- manifests

    def _revalidate(self, here: Repository, tag: str) -> None:
        """The tag names here what it names upstream."""
        digest = self._source.resolve(here.name, tag)
        if here.resolve(tag) == digest and here.has_manifest(digest):
            self._metrics.proxy_hits.add(MANIFESTS)
            return
        if not here.has_manifest(digest):
            self._fetch_manifest(here, digest)
        with self._store.gate.shared():
            here.tag(tag, digest)

    def _fetch_manifest(self, here: Repository, digest: str) -> None:
        self._metrics.proxy_misses.add(MANIFESTS)
        raw = self._source.manifest(here.name, digest)
        if names.digest_of(raw, digest.partition(":")[0]) != digest:
            raise NotServing(f"upstream: a manifest with another digest than {digest}")
        Document(raw)
        self._metrics.proxy_pulled.add(MANIFESTS, amount=len(raw))
        with self._store.gate.shared():
            self._store.gate.note(digest)
            here.put_manifest(digest, raw)

    def _guarded(self, work: Callable[[], None], *, cached: bool) -> None:
        """Upstream's failures count only when there is nothing here to serve."""
        try:
            work()
        except BadManifest:
            raise
        except (WherryError, OSError) as error:
            if cached:
                logger.warning("pull-through: %s; what is here is served", error)
                return
            if isinstance(error, NotFound):
                return
            if isinstance(error, (Unauthorized, Forbidden)):
                raise AccessDenied(f"upstream: {error}") from error
            raise NotServing(f"upstream: {error}") from error

    @staticmethod
    def _cached(here: Repository, tag: str) -> bool:
        digest = here.resolve(tag)
        return digest is not None and here.has_manifest(digest)

    @contextmanager
    def _alone(self, repository: str, reference: str) -> Iterator[bool]:
        """One client at a time asks upstream for one manifest; whether this one did not have to wait for another."""
        key = (repository, reference)
        with self._turn:
            first = key not in self._asking
            while key in self._asking:
                self._turn.wait()
            self._asking.add(key)
        try:
            yield first
        finally:
            with self._turn:
                self._asking.discard(key)
                self._turn.notify_all()

    # --- blobs

    def _size(self, repository: str, digest: str) -> int | None:
        """The size that a manifest of the repository gives for a blob; None: no manifest here names it."""
        here = self._store.repository(repository)
        for manifest in here.manifests():
            raw = here.manifest(manifest)
            if raw is None or digest.encode() not in raw:
                continue
            try:
                sizes = {one.digest: one.size for one in Document(raw).descriptors()}
            except BadManifest:
                continue
            if digest in sizes:
                return sizes[digest]
        return None

    def _linked(self, repository: str, digest: str) -> bool:
        """The blob came by another repository: this one has it too if upstream says so; whether it has."""
        try:
            if not self._source.has_blob(repository, digest):
                return False
        except (WherryError, OSError) as error:
            raise NotServing(f"upstream: {error}") from error
        with self._store.gate.shared():
            if self._store.blob_size(digest) is None:
                return False
            self._store.gate.note(digest)
            self._store.repository(repository).link_blob(digest)
        return True

    def _join(self, repository: str, digest: str, size: int) -> Flight:
        """The flight that fetches a blob, begun now if there is none that may bring it to this repository."""
        with self._turn:
            flight = self._flights.get(digest) or self._depart(repository, digest, size)
        if not flight.serves(repository):
            if not self._source.has_blob(repository, digest):
                raise BlobUnknown(detail=digest)
            flight.join(repository)
        return flight

    def _depart(self, repository: str, digest: str, size: int) -> Flight:
        flight = self._flights[digest] = Flight(self._store, repository, digest, size)
        self._metrics.proxy_misses.add(BLOBS)
        thread = threading.Thread(
            target=flight.run,
            args=(lambda: self._source.blob(repository, digest, size), self._landed),
            name=f"pull-through {digest[:19]}",
            daemon=True,
        )
        thread.start()
        return flight

    def _landed(self, flight: Flight) -> None:
        self._metrics.proxy_pulled.add(BLOBS, amount=flight.come)
        with self._turn:
            self._flights.pop(flight.digest, None)
