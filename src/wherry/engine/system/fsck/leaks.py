"""What is recorded and nobody needs: leases of operations that are over, blobs and layers of no image; and state.db."""

from __future__ import annotations

from functools import partial

from wherry.engine.system.fsck.finding import Finding
from wherry.lib.ids import short
from wherry.state import garbage
from wherry.state.database import Database
from wherry.transfer.store import ImageStore


class Leases:
    """A lease ends with its operation; what a full disk has kept from ending is found here."""

    name = "leases"
    steady = False

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    async def look(self) -> list[Finding]:
        return [self._stale(identifier) for identifier in self._store.leases.stale()]

    def _stale(self, identifier: str) -> Finding:
        return Finding(
            kind="lease-stale",
            subject=identifier,
            problem="the lease of an operation that is over",
            remedy="is ended",
            mend=partial(self._store.leases.end_stale, identifier),
        )


class Unneeded:
    """What garbage collection would take now: space that leaks."""

    name = "garbage"
    steady = False

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    async def look(self) -> list[Finding]:
        found = await self._store.database.write(garbage.find)
        blobs = [self._finding("blob-unneeded", digest, "a blob") for digest in found.blobs]
        return blobs + [self._finding("layer-unneeded", key, f"layer {short(key)}") for key, _ in found.snapshots]

    def _finding(self, kind: str, subject: str, what: str) -> Finding:
        return Finding(
            kind=kind,
            subject=subject,
            problem=f"{what} that no image, container or operation needs",
            remedy="is forgotten and deleted",
            mend=self._store.collect,
        )


class StateFile:
    """The database itself, as SQLite sees it."""

    name = "state"
    steady = True

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self) -> list[Finding]:
        found = [str(row[0]) for row in self._database.read("PRAGMA quick_check(20)")]
        broken = [line for line in found if line != "ok"]
        links = self._database.read("PRAGMA foreign_key_check")
        broken += [
            f"row {row} of {table} refers to a row of {parent} that is not there" for table, row, parent, _ in links
        ]
        remedy = "stop the daemon, then restore state.db from a backup"
        return [Finding(kind="state-damaged", subject="state.db", problem=line, remedy=remedy) for line in broken]
