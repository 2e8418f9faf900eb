"""Leases: what an operation under way needs kept, though no image or container refers to it yet.

A lease ends with its operation. None outlives the daemon, so start-up ends them all.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterable

from wherry.lib.errors import Internal
from wherry.state.database import Database

logger = logging.getLogger(__name__)

CONTENT = "content"
SNAPSHOT = "snapshot"
IMAGE = "image"


class Lease:
    """One operation's hold."""

    def __init__(self, database: Database, identifier: str) -> None:
        self._database = database
        self.id = identifier

    async def add(self, kind: str, keys: Iterable[str]) -> None:
        """Keep the content, snapshots or images named ``keys`` while the lease lasts."""
        rows = [(self.id, kind, key) for key in keys]
        if rows:
            await self._database.write(lambda connection: _insert(connection, rows))


class Leases:
    """The leases of one daemon."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._live: set[str] = set()

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[Lease]:
        """A lease for the length of a ``with`` block."""
        lease = Lease(self._database, secrets.token_hex(8))
        self._live.add(lease.id)
        try:
            yield lease
        finally:
            try:
                await self._end(lease)
            finally:
                self._live.discard(lease.id)

    def stale(self) -> list[str]:
        """Leases whose operation is over: what a full disk has kept from ending, say."""
        found = [identifier for (identifier,) in self._database.read("SELECT DISTINCT id FROM lease")]
        return [identifier for identifier in found if identifier not in self._live]

    async def end_stale(self, identifier: str) -> None:
        """End one of these. Raises OSError, sqlite3.Error."""
        await self._database.write(lambda connection: _delete(connection, identifier))

    async def _end(self, lease: Lease) -> None:
        if not self._database.read("SELECT 1 FROM lease WHERE id = ? LIMIT 1", (lease.id,)):
            return
        try:
            await self._database.write(lambda connection: _delete(connection, lease.id))
        except (Internal, sqlite3.Error) as error:
            # The disk is full, most likely. What it keeps is kept until the next start, no more.
            logger.warning("lease %s stays until the next start: %s", lease.id, error)

    def recover(self) -> None:
        """End the leases of a daemon that is no more."""
        if self._database.read("SELECT 1 FROM lease LIMIT 1"):
            self._database.write_now(lambda connection: connection.execute("DELETE FROM lease"))


def held(connection: sqlite3.Connection, kind: str) -> set[str]:
    """Every key of ``kind`` that some lease keeps."""
    return {key for (key,) in connection.execute("SELECT key FROM lease WHERE kind = ?", (kind,))}


def _insert(connection: sqlite3.Connection, rows: list[tuple[str, str, str]]) -> None:
    connection.executemany("INSERT OR IGNORE INTO lease (id, kind, key) VALUES (?, ?, ?)", rows)


def _delete(connection: sqlite3.Connection, identifier: str) -> None:
    connection.execute("DELETE FROM lease WHERE id = ?", (identifier,))
