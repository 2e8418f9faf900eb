"""Collections while the registry serves, from ``storage.maintenance.garbagecollect`` (beyond Docker's registry).

    enabled          false      every ``interval`` while serving
    interval         24h
    grace            1h         what is younger, or was asked for since, stays
    deleteuntagged   false
    dryrun           false      log only

The first one comes ``interval`` after the start, and never before ``grace``: what clients were told by the process
before this one is not known.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from wherry.lib.errors import InvalidArgument, WherryError
from wherry.registry.gc_sweep import Collected, Collector
from wherry.registry.options import Options, flag, seconds
from wherry.registry.store import Store

logger = logging.getLogger(__name__)

WHERE = "storage.maintenance.garbagecollect"
INTERVAL = 24 * 3600.0
GRACE = 3600.0


@dataclass(frozen=True, kw_only=True)
class GcSettings:
    """See the module; times in seconds."""

    enabled: bool = False
    interval: float = INTERVAL
    grace: float = GRACE
    delete_untagged: bool = False
    dry_run: bool = False


def parse_gc(options: Options) -> GcSettings:
    """The settings that ``storage.maintenance.garbagecollect`` describes. Raises InvalidArgument."""
    settings = GcSettings(
        enabled=flag(WHERE, options, "enabled"),
        interval=seconds(WHERE, options, "interval", INTERVAL),
        grace=seconds(WHERE, options, "grace", GRACE),
        delete_untagged=flag(WHERE, options, "deleteuntagged"),
        dry_run=flag(WHERE, options, "dryrun"),
    )
    if settings.interval <= 0 or settings.grace <= 0:
        raise InvalidArgument(f"{WHERE}: interval and grace must be more than 0")
    return settings


class Schedule:
    """Collects in a thread of its own until closed."""

    def __init__(self, store: Store, settings: GcSettings, done: Callable[[Collected], None] | None = None) -> None:
        self._settings = settings
        self._collector = Collector(store, grace=settings.grace)
        self._done = done
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="garbage-collect", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; a collection under way is waited for."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        settings = self._settings
        wait = max(settings.interval, settings.grace)
        while not self._ended.wait(wait):
            wait = settings.interval
            try:
                collected = self._collector.collect(
                    dry_run=settings.dry_run, delete_untagged=settings.delete_untagged, report=self._report
                )
            except _Ended:
                return
            except (OSError, WherryError) as error:
                logger.warning("garbage collection: %s", error)
                continue
            logger.info("garbage collection: %s", collected)
            if self._done is not None:
                self._done(collected)

    def _report(self, line: str) -> None:
        """Called between the collector's steps, which is where it can be ended."""
        if self._ended.is_set():
            raise _Ended
        logger.debug("garbage collection: %s", line)


class _Ended(Exception):
    """The registry ends during a collection."""
