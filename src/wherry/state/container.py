"""Containers at rest: one row each, the record as a JSON document that the engine gives and takes whole."""

from __future__ import annotations

import sqlite3

from wherry.lib.errors import Conflict
from wherry.state.database import Database


class ContainerTable:
    """The ``container`` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[bytes]:
        """Every stored document."""
        return [document for (document,) in self._database.read("SELECT document FROM container")]

    async def save(self, container_id: str, name: str, document: bytes) -> None:
        """Insert or replace one container. Raises Conflict when another container has the name."""

        def upsert(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO container (id, name, document) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document",
                (container_id, name, document),
            )

        try:
            await self._database.write(upsert)
        except sqlite3.IntegrityError:
            raise Conflict(f'the container name "/{name}" is already in use') from None

    @staticmethod
    def delete_in(container_id: str, connection: sqlite3.Connection) -> None:
        """Forget one container as part of a larger transaction; one that is not there is no error."""
        connection.execute("DELETE FROM container WHERE id = ?", (container_id,))
