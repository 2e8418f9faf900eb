"""Garbage collection: what no image, container or lease needs any more is forgotten; the files go afterwards.

Roots are the images (their blobs and layers), the active snapshots (with the layers below them) and the leases. All is
decided inside one write transaction, so nothing can take hold of what is being forgotten.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from wherry.oci.digest import Digest
from wherry.snapshots.model import COMMITTED
from wherry.state import content, image, lease, snapshot


@dataclass(frozen=True, slots=True)
class Garbage:
    """What was forgotten: files to delete now."""

    blobs: tuple[Digest, ...]
    snapshots: tuple[tuple[str, int], ...]
    """Chain id and directory number, top first."""

    @property
    def numbers(self) -> list[int]:
        """Directory numbers."""
        return [number for _, number in self.snapshots]


def collect(connection: sqlite3.Connection) -> Garbage:
    """Forget what is not needed."""
    garbage = find(connection)
    content.forget(connection, garbage.blobs)
    connection.execute("PRAGMA defer_foreign_keys = ON")
    snapshot.forget(connection, [key for key, _ in garbage.snapshots])
    return garbage


def find(connection: sqlite3.Connection) -> Garbage:
    """What is not needed, at this moment."""
    images = image.load_all(connection)
    return Garbage(_unwanted_blobs(connection, images), _unwanted_snapshots(connection, images))


def _unwanted_blobs(connection: sqlite3.Connection, images: list[image.ImageDocument]) -> tuple[Digest, ...]:
    wanted = lease.held(connection, lease.CONTENT)
    for one in images:
        wanted.update(one.blobs)
    found = [digest for (digest,) in connection.execute("SELECT digest FROM content")]
    return tuple(Digest(digest) for digest in found if digest not in wanted)


def _unwanted_snapshots(
    connection: sqlite3.Connection, images: list[image.ImageDocument]
) -> tuple[tuple[str, int], ...]:
    rows = {row.key: row for row in snapshot.all_rows(connection)}
    roots = {key for key, row in rows.items() if row.kind != COMMITTED} | lease.held(connection, lease.SNAPSHOT)
    for one in images:
        roots.update(one.chain)
    wanted: set[str] = set()
    for root in roots:
        key: str | None = root
        while key is not None and key in rows and key not in wanted:
            wanted.add(key)
            key = rows[key].parent
    garbage = sorted((row for row in rows.values() if row.key not in wanted), key=lambda row: -row.number)
    return tuple((row.key, row.number) for row in garbage)
