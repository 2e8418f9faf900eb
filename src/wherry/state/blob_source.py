"""Where blobs are known to be: the repositories that a blob was pulled from or pushed to.

A push asks there first: the blob may be in the repository already, or can be mounted from a neighbour. It also finds
here how a layer was packed the last time (``by_diff``). A hint only: what is recorded may be gone, so whoever uses it
asks the registry.
"""

from __future__ import annotations

import sqlite3

from wherry.state.database import Database

SOURCES_MAX = 32
"""Repositories told of one blob; a base image's layers may be in very many."""


def record(connection: sqlite3.Connection, digest: str, repository: str, diff_id: str, size: int) -> None:
    """The blob (``size`` bytes, unpacking to ``diff_id``) is in ``repository``, which is domain/path."""
    connection.execute(
        "INSERT INTO blob_source (digest, repository, diff_id, size) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (digest, repository) DO UPDATE SET diff_id = excluded.diff_id, size = excluded.size",
        (digest, repository, diff_id, size),
    )


def forget(connection: sqlite3.Connection, digest: str, repository: str) -> None:
    """The blob is not there any more."""
    connection.execute("DELETE FROM blob_source WHERE digest = ? AND repository = ?", (digest, repository))


def sources(database: Database, digest: str) -> list[str]:
    """Repositories that have the blob, the latest recorded first."""
    query = "SELECT repository FROM blob_source WHERE digest = ? ORDER BY rowid DESC LIMIT ?"
    return [repository for (repository,) in database.read(query, (digest, SOURCES_MAX))]


def by_diff(database: Database, diff_id: str) -> list[tuple[str, int, str]]:
    """Blobs that unpack to ``diff_id``: digest, size and repository, the latest recorded first."""
    query = "SELECT digest, size, repository FROM blob_source WHERE diff_id = ? ORDER BY rowid DESC LIMIT ?"
    return [(digest, size, repository) for digest, size, repository in database.read(query, (diff_id, SOURCES_MAX))]
