"""The volumes of one daemon, by name."""

from __future__ import annotations

import sqlite3

import msgspec

from wherry.state.database import Database


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a volume. Labels and options are None where the user said nothing."""

    name: str
    driver: str
    created_at: int
    """ns since the epoch."""
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None


_DECODER = msgspec.json.Decoder(VolumeRecord)


class VolumeTable:
    """The stored volumes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> VolumeRecord | None:
        """The volume called ``name``."""
        rows = self._database.read("SELECT document FROM volume WHERE name = ?", (name,))
        return _DECODER.decode(rows[0][0]) if rows else None

    def all(self) -> list[VolumeRecord]:
        """Every volume, by name."""
        return [_DECODER.decode(row[0]) for row in self._database.read("SELECT document FROM volume ORDER BY name")]

    async def put(self, record: VolumeRecord) -> None:
        """Store ``record``; one that is there already stays as it is."""
        document = msgspec.json.encode(record)

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO volume (name, document) VALUES (?, ?)", (record.name, document))

        await self._database.write(change)

    async def delete(self, name: str) -> None:
        """Forget the volume called ``name``."""
        await self._database.write(lambda connection: connection.execute("DELETE FROM volume WHERE name = ?", (name,)))
