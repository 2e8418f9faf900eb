"""Blobs in state: which are wanted, and how large they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from wherry.oci.digest import Digest
from wherry.state.database import Database


def sizes(database: Database) -> dict[Digest, int]:
    """Every recorded blob and its size in bytes."""
    return {Digest(digest): size for digest, size in database.read("SELECT digest, size FROM content")}


def size_of(database: Database, digest: str) -> int | None:
    """The size of one recorded blob."""
    rows = database.read("SELECT size FROM content WHERE digest = ?", (digest,))
    return int(rows[0][0]) if rows else None


def record(connection: sqlite3.Connection, blobs: Mapping[Digest, int]) -> None:
    """Record blobs that are in place."""
    connection.executemany("INSERT OR REPLACE INTO content (digest, size) VALUES (?, ?)", list(blobs.items()))


def forget(connection: sqlite3.Connection, digests: Iterable[str]) -> None:
    """Forget blobs; their files are deleted afterwards."""
    connection.executemany("DELETE FROM content WHERE digest = ?", [(digest,) for digest in digests])
