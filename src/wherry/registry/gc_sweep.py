"""Garbage collection, while the registry serves or while it does not.

    mark    every manifest and what it names (``gc_mark``), pushes going on
    sweep   one at a time, behind the gate that excludes pushes: what was not marked, has not been written or linked for
            ``grace`` seconds, and of which no client was told within ``grace`` seconds that it is there

A push makes its content reachable only behind the same gate, after it has noted what it relies on, so content that
becomes reachable after the marking is either noted, or written within the grace, and stays. The notes are this
process's: where several processes serve one store, only one may collect, and the grace is what protects the others'.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wherry.registry import layout, names
from wherry.registry.errors import ManifestUnknown
from wherry.registry.gc_mark import Marks, Report, Stale, mark
from wherry.registry.storage import PathMissing
from wherry.registry.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did, or would do."""

    marked: int
    manifests: int
    blobs: int
    bytes: int


class Collector:
    """Collects the garbage of one store."""

    def __init__(self, store: Store, *, grace: float, clock: Callable[[], float] = time.time) -> None:
        """``grace`` in seconds; 0 only where nobody pushes."""
        self._store = store
        self._grace = grace
        self._clock = clock
        self._alone = threading.Lock()

    def collect(
        self, *, dry_run: bool = False, delete_untagged: bool = False, report: Report = logger.debug
    ) -> Collected:
        """One collection; a second one meanwhile waits for it. Raises what the storage raises."""
        with self._alone:
            marks = mark(self._store, delete_untagged=delete_untagged, old=self._old, report=report)
            doomed = [(digest, size) for digest, size, modified in self._blobs() if self._free(marks, digest, modified)]
            report(
                f"{len(marks.used)} blobs marked, {len(doomed)} blobs and {len(marks.stale)} manifests"
                " eligible for deletion"
            )
            manifests = blobs = freed = 0
            for stale in marks.stale:
                if dry_run or self._drop_manifest(stale):
                    manifests += 1
                else:
                    marks.keep(stale.digest, stale.named)
            for digest, size in doomed:
                if digest in marks.used:
                    continue
                report(f"blob eligible for deletion: {digest}")
                if dry_run or self._drop_blob(marks, digest):
                    blobs, freed = blobs + 1, freed + size
            return Collected(len(marks.used), manifests, blobs, freed)

    def _blobs(self) -> Iterator[tuple[str, int, float]]:
        """Digest, size and time of every blob."""
        for path, stat in self._store.driver.walk(layout.BLOBS):
            parts = path.split("/")
            if len(parts) >= 4 and parts[-1] == "data":
                digest = f"{parts[-4]}:{parts[-2]}"
                if names.is_digest(digest):
                    yield digest, stat.size, stat.modified

    def _free(self, marks: Marks, digest: str, modified: float) -> bool:
        """Whether a blob is in nobody's hands."""
        return digest not in marks.used and self._old(digest, modified) and self._links_old(marks, digest)

    def _old(self, digest: str, modified: float) -> bool:
        if not self._grace:
            return True
        return modified <= self._clock() - self._grace and not self._store.gate.noted(digest, self._grace)

    def _links_old(self, marks: Marks, digest: str) -> bool:
        """Whether every repository got the blob long ago: a mount links an old blob anew."""
        if not self._grace:
            return True
        repositories = map(self._store.repository, marks.links.get(digest, ()))
        return all(self._old(digest, repository.blob_since(digest)) for repository in repositories)

    def _drop_manifest(self, stale: Stale) -> bool:
        """Forget a manifest that nobody has come to name meanwhile."""
        name, digest = stale.repository, stale.digest
        repository = self._store.repository(name)
        with self._store.gate.exclusive():
            if not self._old(digest, repository.manifest_since(digest)):
                return False
            if repository.tags_of(digest):
                return False
            try:
                repository.unlink_manifest(digest)
            except ManifestUnknown:
                return False
            for tag in repository.tags():
                with contextlib.suppress(PathMissing):
                    self._store.driver.delete(layout.tag_index(name, tag, digest))
        logger.info("%s: manifest deleted: %s", name, digest)
        return True

    def _drop_blob(self, marks: Marks, digest: str) -> bool:
        """Remove a blob and the links to it, unless somebody has come for it meanwhile."""
        driver = self._store.driver
        with self._store.gate.exclusive():
            try:
                modified = driver.stat(layout.blob_data(digest)).modified
                if not self._old(digest, modified) or not self._links_old(marks, digest):
                    return False
                driver.delete(layout.blob(digest))
            except PathMissing:
                return False
            for name in marks.links.get(digest, ()):
                with contextlib.suppress(PathMissing):
                    driver.delete(layout.layer(name, digest))
        logger.info("blob deleted: %s", digest)
        return True
