"""A registry put together from its settings: storage, hooks, server, and what runs beside it."""

from __future__ import annotations

import logging
import time

from wherry.lib.errors import InvalidArgument
from wherry.registry.app import App
from wherry.registry.auth_select import make_authorizer
from wherry.registry.config import Settings
from wherry.registry.context import Context
from wherry.registry.debug import DebugApp
from wherry.registry.extras import Extras
from wherry.registry.filesystem import FilesystemDriver
from wherry.registry.gc_schedule import Schedule, parse_gc
from wherry.registry.health import Health, make_checks
from wherry.registry.http.connection import Service
from wherry.registry.http.message import Request
from wherry.registry.http.server import Server
from wherry.registry.listening import listen, name_of
from wherry.registry.log import write_access
from wherry.registry.purge import Purger
from wherry.registry.storage import Driver
from wherry.registry.store import Store
from wherry.registry.tls import TlsContexts, parse_tls

_log = logging.getLogger(__name__)


def make_driver(settings: Settings) -> Driver:
    """The storage that the settings name. Raises InvalidArgument, OSError."""
    if settings.storage == "filesystem":
        return FilesystemDriver(str(settings.storage_options["rootdirectory"]))
    if settings.storage == "s3":
        from wherry.registry.s3 import S3Driver  # noqa: PLC0415 - only where it is asked for

        return S3Driver.from_options(settings.storage_options, redirects=settings.redirect)
    raise InvalidArgument(f"configuration: storage: {settings.storage!r} is neither filesystem nor s3")


class Registry:
    """A running registry; ``start`` it, and ``close`` it in the end."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidArgument, OSError."""
        self._settings = settings
        self._driver = make_driver(settings)
        self.context = Context.make(settings, Store(self._driver))
        self.context.authorizer = make_authorizer(settings.auth)
        self._health = Health(make_checks(settings.health, self._driver))
        self._purger = Purger(self.context.uploads, settings.purging)
        gc = parse_gc(settings.garbage_collection)
        self._extras = Extras(settings, self.context)
        self._schedule = None
        if gc.enabled and not settings.readonly:
            self._schedule = Schedule(self.context.store, gc, self._extras.metrics.collected)
        self._server = Server(
            Service(handle=App(self.context, self._health).handle, finished=self._finished, headers=settings.headers)
        )
        self._debug: Server | None = None
        self.address = ""

    def start(self) -> None:
        """Listen. Raises OSError, InvalidArgument."""
        settings = self._settings
        tls = parse_tls(settings.tls)
        listener = listen(settings.network, settings.address)
        self.address = name_of(listener)
        self._health.start()
        self._extras.start()
        if not settings.readonly:
            self._purger.start()
        if self._schedule is not None:
            self._schedule.start()
        if settings.debug_address:
            app = DebugApp(self._health, self._extras.pages)
            self._debug = Server(Service(handle=app.handle, finished=_unseen))
            debug = listen("tcp", settings.debug_address)
            _log.info("debug server listening %s", name_of(debug))
            self._debug.serve(debug)
        self._server.serve(listener, None if tls is None else TlsContexts(tls))
        _log.info("listening on %s%s", self.address, "" if tls is None else ", tls")

    def close(self) -> None:
        """End in order: requests under way get ``http.draintimeout``."""
        began = time.monotonic()
        self._server.close(self._settings.drain)
        if self._debug is not None:
            self._debug.close(0)
        for part in (self._health, self._purger, self._schedule, self._extras):
            if part is not None:
                part.close()
        self._driver.close()
        _log.info("stopped after %.1f s", time.monotonic() - began)

    def _finished(self, request: Request, status: int, sent: int, seconds: float) -> None:
        """A request has been answered."""
        if self._settings.access_log:
            write_access(request, status, sent)
        for observer in self.context.observers:
            observer.answered(request, status, sent=sent, received=request.body.received, seconds=seconds)


def _unseen(request: Request, status: int, sent: int, seconds: float) -> None:
    """Requests to the debug address are nobody's business."""
    del request, status, sent, seconds
