"""Which manifests of a repository refer to another by their ``subject``.

Docker's layout has no place for this, and what is not there cannot be out of date: the list is made by looking at the
repository's manifests, and what was seen in one is remembered by its digest, under which it never changes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from wherry.registry.documents import Document
from wherry.registry.errors import BadManifest
from wherry.registry.store import Repository

REMEMBERED = 100_000


class Referrers:
    """Remembers, for the last so many manifests that were looked at, their subject and descriptor. Thread-safe."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, tuple[str, dict[str, Any]] | None] = OrderedDict()

    def of(self, repository: Repository, subject: str) -> list[dict[str, Any]]:
        """The descriptors of the manifests whose subject has this digest, by digest."""
        found = []
        for digest in sorted(repository.manifests()):
            seen = self._look(repository, digest)
            if seen is not None and seen[0] == subject:
                found.append(seen[1])
        return found

    def _look(self, repository: Repository, digest: str) -> tuple[str, dict[str, Any]] | None:
        with self._lock:
            if digest in self._seen:
                self._seen.move_to_end(digest)
                return self._seen[digest]
        raw = repository.manifest(digest)
        if raw is None:
            return None
        seen = _descriptor(digest, raw)
        with self._lock:
            self._seen[digest] = seen
            if len(self._seen) > self._remembered:
                self._seen.popitem(last=False)
        return seen


def _descriptor(digest: str, raw: bytes) -> tuple[str, dict[str, Any]] | None:
    """Subject and descriptor of a manifest that has a subject."""
    try:
        document = Document(raw)
    except BadManifest:
        return None
    if not document.subject:
        return None
    descriptor: dict[str, Any] = {"mediaType": document.media_type, "digest": digest, "size": len(raw)}
    if document.artifact_type:
        descriptor["artifactType"] = document.artifact_type
    if document.annotations:
        descriptor["annotations"] = document.annotations
    return document.subject, descriptor
