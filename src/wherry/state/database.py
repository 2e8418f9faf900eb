"""The database: SQLite in WAL mode, ``synchronous=FULL``, one transaction per state change.

Reads run on the caller's thread against the last committed snapshot and never wait for a writer. Writes run one after
another on one thread of their own, because a commit waits for the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from wherry.lib.errors import Internal
from wherry.state.reserve import Reserve

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
REFILL_S = 30.0
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What SQLite says on a full disk: the latter two where it cannot make the files of its write-ahead log."""


class Database:
    """The open state database of one daemon."""

    def __init__(self, path: Path, migrations: Sequence[str], reserve: Reserve | None = None) -> None:
        """``reserve`` is given up, piece by piece, when the disk is full. Raises Internal, sqlite3.Error."""
        self._path = path
        self._reserve = reserve
        self._refill_at = 0.0
        self._writer_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")
        self._writer = self._with_reserve(self._connect)
        self._reader = self._with_reserve(self._connect)
        self._with_reserve(lambda: _migrate(self._writer, migrations))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query on the last committed state."""
        return self._reader.execute(sql, parameters).fetchall()

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``change`` in one durable transaction; its exception rolls everything back.

        Once begun the transaction ends even if the caller is cancelled.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writer_thread, self.write_now, change))

    def write_now(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """The same, waiting on the caller's thread: for start-up, before the API is open."""
        self._refill()
        try:
            return self._with_reserve(lambda: self._transaction(change))
        except sqlite3.OperationalError as error:
            raise _in_words(error, self._path) from error

    def _transaction(self, change: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            result = change(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        return result

    def _with_reserve(self, work: Callable[[], T]) -> T:
        """Do ``work``, again for each piece of the reserve while there is no room for it."""
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _NO_ROOM or self._reserve is None or not self._reserve.spend():
                    raise

    def _refill(self) -> None:
        """Now and then, because looking costs a call."""
        now = time.monotonic()
        if self._reserve is not None and now >= self._refill_at:
            self._refill_at = now + REFILL_S
            self._reserve.fill()

    def close(self) -> None:
        """Finish the writes under way and close."""
        self._writer_thread.shutdown(wait=True)
        self._reader.close()
        self._writer.close()


def _in_words(error: sqlite3.OperationalError, path: Path) -> Internal:
    if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
        return Internal(f"write {path}: no space left on device")
    return Internal(f"write {path}: {error}")


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Bring the schema up to date; ``user_version`` counts the migrations already applied."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")  # of an attempt that found no room
    (applied,) = connection.execute("PRAGMA user_version").fetchone()
    if applied > len(migrations):
        raise Internal(f"the state is of a newer wherry (schema {applied}, this one knows {len(migrations)})")
    for number, script in enumerate(migrations[applied:], start=applied + 1):
        connection.executescript(f"BEGIN; {script}; PRAGMA user_version={number}; COMMIT;")
