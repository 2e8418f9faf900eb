"""The journal of events: the newest so many, in the order they were emitted."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from wherry.state.database import Database


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it was emitted. ``sequence`` grows by one from event to event, over restarts too."""

    sequence: int
    time_ns: int
    type: str
    action: str
    actor: str
    attributes: Mapping[str, str]
    scope: str


class EventJournal:
    """The stored events. Appending trims the journal to ``keep`` events."""

    def __init__(self, database: Database, *, keep: int) -> None:
        self._database = database
        self._keep = keep

    def last_sequence(self) -> int:
        """The sequence number of the newest stored event; 0 when there is none."""
        ((newest,),) = self._database.read("SELECT COALESCE(MAX(sequence), 0) FROM event")
        return int(newest)

    def before(self, since_ns: int) -> int:
        """The sequence number just before the first stored event of ``since_ns`` or later."""
        ((first,),) = self._database.read("SELECT MIN(sequence) FROM event WHERE time_ns >= ?", (since_ns,))
        return int(first) - 1 if first is not None else self.last_sequence()

    def page(self, after: int, limit: int) -> list[EventRecord]:
        """The next ``limit`` events whose sequence number is greater than ``after``."""
        rows = self._database.read(
            "SELECT document FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, limit),
        )
        return [msgspec.json.decode(document, type=EventRecord) for (document,) in rows]

    async def append(self, records: Sequence[EventRecord]) -> None:
        """Store ``records`` and forget what is older than the newest ``keep``, in one transaction."""
        rows = [(record.sequence, record.time_ns, msgspec.json.encode(record)) for record in records]

        def change(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT INTO event (sequence, time_ns, document) VALUES (?, ?, ?)", rows)
            connection.execute("DELETE FROM event WHERE sequence <= ?", (rows[-1][0] - self._keep,))

        await self._database.write(change)
