"""When each image was last used. Kept in memory and stored a little later: a start must not wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable

from wherry.lib.clock import now_ns
from wherry.lib.errors import Internal
from wherry.state.database import Database
from wherry.state.image import ImageDocument
from wherry.state.image_use import ImageUses, forget_gone, mark

PERIOD = 30.0
"""Seconds between two writes: so much is forgotten by a crash."""

_log = logging.getLogger(__name__)


class Uses:
    """Told by events; asked by the disk budget and by ``df``. Belongs to one event loop."""

    def __init__(self, database: Database, image_of: Callable[[str], str | None]) -> None:
        """``image_of`` gives the image id of a container's id."""
        self._database = database
        self._image_of = image_of
        self._known = ImageUses(database).all()
        self._fresh: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to store."""
        self._task = asyncio.create_task(self._store_often(), name="image uses")

    async def close(self) -> None:
        """Store what is not stored yet, and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._store()

    def observe(self, kind: str, action: str, actor: str) -> None:
        """A container was made or started: its image is used."""
        if kind == "container" and action in ("create", "start"):
            image_id = self._image_of(actor)
            if image_id:
                self._known[image_id] = self._fresh[image_id] = now_ns()

    def last(self, image: ImageDocument) -> int:
        """When an image was last used or came, in ns since the epoch."""
        return max(self._known.get(image.id, 0), image.loaded_ns, image.tagged_ns)

    async def _store_often(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            await self._store()

    async def _store(self) -> None:
        fresh, self._fresh = self._fresh, {}
        if not fresh:
            return

        def change(connection: sqlite3.Connection) -> None:
            for image_id, used_ns in fresh.items():
                mark(connection, image_id, used_ns)
            forget_gone(connection)

        try:
            await self._database.write(change)
        except (Internal, sqlite3.Error) as error:
            _log.warning("when images were used is not stored: %s", error)
            self._fresh = fresh | self._fresh
