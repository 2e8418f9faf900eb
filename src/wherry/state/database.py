"""The database: SQLite in WAL mode, ``synchronous=FULL``, one transaction per state change.

Reads run on the caller's thread against the last committed snapshot and never wait for a writer. Writes run one after
another on one thread of their own, because a commit waits for the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from wherry.lib.errors import Internal

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0


class Database:
    """The open state database of one daemon."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self._path = path
        self._writer_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")
        self._writer = self._connect()
        self._reader = self._connect()
        _migrate(self._writer, migrations)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
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
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            result = change(self._writer)
            self._writer.execute("COMMIT")
        except BaseException as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise _in_words(error, self._path) from error
            raise
        return result

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
    (applied,) = connection.execute("PRAGMA user_version").fetchone()
    if applied > len(migrations):
        raise Internal(f"the state is of a newer wherry (schema {applied}, this one knows {len(migrations)})")
    for number, script in enumerate(migrations[applied:], start=applied + 1):
        connection.executescript(f"BEGIN; {script}; PRAGMA user_version={number}; COMMIT;")
