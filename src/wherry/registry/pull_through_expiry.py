"""What a pull-through cache has held for longer than ``proxy.ttl`` is forgotten, so that it does not grow for ever.

A link's age is the time since its content was fetched. The bytes go with the collection that follows.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from wherry.lib.errors import WherryError
from wherry.registry.errors import BlobUnknown
from wherry.registry.gc_sweep import Collector
from wherry.registry.store import Store

logger = logging.getLogger(__name__)

INTERVAL = 3600.0
GRACE = 3600.0
"""Seconds; what a client has just been given is not taken from it."""


class Expiry:
    """Looks every so often, in a thread of its own."""

    def __init__(self, store: Store, ttl: float, *, grace: float = GRACE) -> None:
        """``ttl`` in seconds."""
        self._store = store
        self._ttl = ttl
        self._collector = Collector(store, grace=grace)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pull-through-expiry", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ended.set()

    def expire(self, now: float) -> int:
        """Forget what is too old at ``now`` (Unix seconds); how many links that were."""
        oldest = now - self._ttl
        forgotten = 0
        for name in self._store.repositories():
            repository = self._store.repository(name)
            for digest in list(repository.manifests()):
                if repository.manifest_since(digest) < oldest:
                    repository.delete_manifest(digest)
                    forgotten += 1
            for digest in list(repository.blobs()):
                if repository.blob_since(digest) < oldest:
                    with contextlib.suppress(BlobUnknown):
                        repository.unlink_blob(digest)
                        forgotten += 1
        if forgotten:
            logger.info("pull-through: %d manifests and blobs have been here for too long", forgotten)
            self._collector.collect()
        return forgotten

    def _run(self) -> None:
        while not self._ended.wait(min(INTERVAL, self._ttl)):
            try:
                self.expire(time.time())
            except (OSError, WherryError) as error:
                logger.warning("pull-through: expiry: %s", error)
