"""Images in state: what each is made of, and the names that lead to it.

A name is a canonical reference, ``docker.io/library/busybox:latest`` or ``…/busybox@sha256:…``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from wherry.state.database import Database


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer: the blob as it came, and what it unpacks to."""

    digest: str
    size: int
    """Bytes of the blob."""
    diff_id: str
    unpacked: int
    """Bytes of the tar that the blob unpacks to."""
    chain_id: str


class ImageDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image. ``id`` is the digest of its config, which is a blob."""

    id: str
    layers: list[Layer]
    size: int
    """Bytes in the files of all layers."""
    loaded_ns: int
    tagged_ns: int = 0
    """When it was last tagged here; 0 never."""
    parent: str = ""
    """Id of the image it was built on here."""
    manifest: str = ""
    """Digest of the manifest that lists the layers as they came, which is a blob; empty when it came without one."""
    index: str = ""
    """Digest of the index that the manifest was chosen from, a blob too."""
    attached: list[str] = msgspec.field(default_factory=list)
    """Digests of further blobs kept with it: attestations of the index, with all that they refer to."""

    @property
    def blobs(self) -> list[str]:
        """Digests of all content it needs."""
        lists = [digest for digest in (self.manifest, self.index) if digest]
        return [self.id, *(layer.digest for layer in self.layers), *lists, *self.attached]

    @property
    def chain(self) -> list[str]:
        """Keys of all snapshots it needs, bottom first."""
        return [layer.chain_id for layer in self.layers]


_DECODER = msgspec.json.Decoder(ImageDocument)
_ENCODER = msgspec.json.Encoder()


class ImageRecords:
    """Images and their names, read from the last committed state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ImageDocument]:
        """Every image."""
        return [_DECODER.decode(document) for (document,) in self._database.read("SELECT document FROM image")]

    def get(self, image_id: str) -> ImageDocument | None:
        """One image by its full id."""
        rows = self._database.read("SELECT document FROM image WHERE id = ?", (image_id,))
        return _DECODER.decode(rows[0][0]) if rows else None

    def ids_from(self, prefix: str) -> list[str]:
        """Ids that begin with ``prefix`` (``sha256:`` included), two at most: more are as ambiguous."""
        query = "SELECT id FROM image WHERE id >= ? AND id < ? LIMIT 2"
        return [found for (found,) in self._database.read(query, (prefix, prefix + "g"))]

    def named(self, name: str) -> str | None:
        """The id of the image that a canonical reference leads to."""
        rows = self._database.read("SELECT image_id FROM image_reference WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def names(self, image_id: str) -> list[str]:
        """The canonical references to an image, in order."""
        query = "SELECT name FROM image_reference WHERE image_id = ? ORDER BY name"
        return [name for (name,) in self._database.read(query, (image_id,))]

    def all_names(self) -> list[tuple[str, str]]:
        """Every canonical reference with the id it leads to, in order."""
        return [(n, i) for n, i in self._database.read("SELECT name, image_id FROM image_reference ORDER BY name")]

    def children(self, image_id: str) -> list[str]:
        """Ids of the images built here on this one."""
        query = "SELECT id FROM image WHERE json_extract(CAST(document AS TEXT), '$.parent') = ?"
        return [found for (found,) in self._database.read(query, (image_id,))]


def save(connection: sqlite3.Connection, image: ImageDocument) -> None:
    """Record an image, or change its record."""
    connection.execute(
        "INSERT INTO image (id, document) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document",
        (image.id, _ENCODER.encode(image)),
    )


def load(connection: sqlite3.Connection, image_id: str) -> ImageDocument | None:
    """One image, as the transaction sees it."""
    row = connection.execute("SELECT document FROM image WHERE id = ?", (image_id,)).fetchone()
    return _DECODER.decode(row[0]) if row else None


def load_all(connection: sqlite3.Connection) -> list[ImageDocument]:
    """Every image, as the transaction sees it."""
    return [_DECODER.decode(document) for (document,) in connection.execute("SELECT document FROM image")]


def point(connection: sqlite3.Connection, name: str, image_id: str) -> str | None:
    """Let ``name`` lead to an image; returns the id it led to before."""
    row = connection.execute("SELECT image_id FROM image_reference WHERE name = ?", (name,)).fetchone()
    connection.execute(
        "INSERT INTO image_reference (name, image_id) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET image_id = excluded.image_id",
        (name, image_id),
    )
    return row[0] if row else None


def unpoint(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Take names back."""
    connection.executemany("DELETE FROM image_reference WHERE name = ?", [(name,) for name in names])


def delete(connection: sqlite3.Connection, image_id: str) -> None:
    """Forget an image and its names."""
    connection.execute("DELETE FROM image_reference WHERE image_id = ?", (image_id,))
    connection.execute("DELETE FROM image WHERE id = ?", (image_id,))
