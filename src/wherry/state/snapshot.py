"""Snapshots in state: which there are, what each stands on, where it lives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from wherry.lib.errors import Conflict, NotFound
from wherry.snapshots.model import COMMITTED, Also, NewLayer, SnapshotRow
from wherry.state.database import Database

_COLUMNS = "number, key, parent, kind, size"
_CHAIN = f"""
    WITH RECURSIVE chain(number, key, parent, kind, size, depth) AS (
        SELECT {_COLUMNS}, 0 FROM snapshot WHERE key = ?
        UNION ALL
        SELECT s.number, s.key, s.parent, s.kind, s.size, chain.depth + 1
        FROM snapshot s JOIN chain ON s.key = chain.parent
    ) SELECT {_COLUMNS} FROM chain ORDER BY depth
"""  # noqa: S608 (constants)


class SnapshotRecords:
    """The ``Records`` of ``snapshots``, in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> list[SnapshotRow]:
        """Every snapshot."""
        return _rows(self._database.read(f"SELECT {_COLUMNS} FROM snapshot"))  # noqa: S608

    def get(self, key: str) -> SnapshotRow | None:
        """One snapshot."""
        found = _rows(self._database.read(f"SELECT {_COLUMNS} FROM snapshot WHERE key = ?", (key,)))  # noqa: S608
        return found[0] if found else None

    def chain(self, key: str) -> list[SnapshotRow]:
        """A snapshot and all below it, top first."""
        return _rows(self._database.read(_CHAIN, (key,)))

    async def insert(self, row: SnapshotRow, also: Also | None) -> None:
        """Add a snapshot. Raises NotFound without the parent, Conflict when the key is taken."""

        def change(connection: sqlite3.Connection) -> None:
            if row.parent is not None and not _exists(connection, row.parent):
                raise NotFound(f"layer {row.parent} does not exist")
            if _exists(connection, row.key):
                raise Conflict(f"snapshot {row.key} already exists")
            connection.execute(
                f"INSERT INTO snapshot ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
                (row.number, row.key, row.parent, row.kind, row.size),
            )
            if also is not None:
                also(connection)

        await self._database.write(change)

    async def commit(self, layers: Sequence[NewLayer], damaged: AbstractSet[str], also: Also | None) -> None:
        """Turn active snapshots into committed ones, bottom first."""

        def change(connection: sqlite3.Connection) -> None:
            for layer in layers:
                if layer.chain_id in damaged:
                    _take_place(connection, layer)
                elif not _exists(connection, layer.chain_id):
                    connection.execute(
                        "UPDATE snapshot SET key = ?, parent = ?, kind = ?, size = ? WHERE key = ?",
                        (layer.chain_id, layer.parent, COMMITTED, layer.size, layer.key),
                    )
            if also is not None:
                also(connection)

        await self._database.write(change)

    async def remove(self, key: str, also: Also | None) -> SnapshotRow | None:
        """Forget a snapshot; None when there was none. Raises Conflict while others stand on it."""

        def change(connection: sqlite3.Connection) -> SnapshotRow | None:
            query = f"SELECT {_COLUMNS} FROM snapshot WHERE key = ?"  # noqa: S608
            found = _rows(connection.execute(query, (key,)).fetchall())
            if found:
                (children,) = connection.execute("SELECT count(*) FROM snapshot WHERE parent = ?", (key,)).fetchone()
                if children:
                    raise Conflict(f"snapshot {key} has {children} snapshots standing on it")
                connection.execute("DELETE FROM snapshot WHERE key = ?", (key,))
            if also is not None:
                also(connection)
            return found[0] if found else None

        return await self._database.write(change)

    def forget_now(self, keys: list[str]) -> None:
        """Forget snapshots, waiting: for start-up."""
        if keys:
            self._database.write_now(lambda connection: forget(connection, keys))


def forget(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Delete the records of ``keys``, given children first."""
    connection.executemany("DELETE FROM snapshot WHERE key = ?", [(key,) for key in keys])


def all_rows(connection: sqlite3.Connection) -> list[SnapshotRow]:
    """Every snapshot, as the transaction sees it."""
    return _rows(connection.execute(f"SELECT {_COLUMNS} FROM snapshot").fetchall())  # noqa: S608


def _take_place(connection: sqlite3.Connection, layer: NewLayer) -> None:
    """Let a layer that stands in others' chains live where ``layer`` was unpacked."""
    (number,) = connection.execute("SELECT number FROM snapshot WHERE key = ?", (layer.key,)).fetchone()
    connection.execute("DELETE FROM snapshot WHERE key = ?", (layer.key,))
    connection.execute("UPDATE snapshot SET number = ?, size = ? WHERE key = ?", (number, layer.size, layer.chain_id))


def _exists(connection: sqlite3.Connection, key: str) -> bool:
    return connection.execute("SELECT 1 FROM snapshot WHERE key = ?", (key,)).fetchone() is not None


def _rows(found: Iterable[tuple[int, str, str | None, str, int]]) -> list[SnapshotRow]:
    return [
        SnapshotRow(number=number, key=key, parent=parent, kind=kind, size=size)
        for number, key, parent, kind, size in found
    ]
