"""When images were last used: a container was made of one, or started. What the disk budget evicts is decided by it."""

from __future__ import annotations

import sqlite3

from wherry.state.database import Database


class ImageUses:
    """The times, in ns since the epoch, by image id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, int]:
        """Every image that was ever used here, as last committed."""
        return dict(self._database.read("SELECT image_id, used_ns FROM image_use"))


def mark(connection: sqlite3.Connection, image_id: str, used_ns: int) -> None:
    """An image was used."""
    connection.execute(
        "INSERT INTO image_use (image_id, used_ns) VALUES (?, ?)"
        " ON CONFLICT (image_id) DO UPDATE SET used_ns = max(used_ns, excluded.used_ns)",
        (image_id, used_ns),
    )


def forget_gone(connection: sqlite3.Connection) -> None:
    """Drop the times of images that are no more."""
    connection.execute("DELETE FROM image_use WHERE image_id NOT IN (SELECT id FROM image)")
