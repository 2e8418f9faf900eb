"""Removes uploads that nobody has gone on with, every so often (``storage.maintenance.uploadpurging``)."""

from __future__ import annotations

import logging
import threading

from wherry.lib.errors import WherryError
from wherry.registry.config import Purging
from wherry.registry.uploads import Uploads

_log = logging.getLogger(__name__)


class Purger:
    """Runs in a thread of its own until closed; the first time at once."""

    def __init__(self, uploads: Uploads, settings: Purging) -> None:
        self._uploads = uploads
        self._settings = settings
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin, unless the settings say otherwise."""
        if self._settings.enabled:
            threading.Thread(target=self._run, name="purge uploads", daemon=True).start()

    def close(self) -> None:
        """End."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                purged = self._uploads.purge(self._settings.age, dry=self._settings.dry)
            except (OSError, WherryError) as error:
                _log.warning("uploads cannot be purged: %s", error)
            else:
                if purged:
                    _log.info("purged %d uploads%s", len(purged), " (dry run)" if self._settings.dry else "")
            self._ended.wait(self._settings.interval)
