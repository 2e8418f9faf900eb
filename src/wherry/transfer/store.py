"""The image store as one thing: blobs, layers, images and names, changed together and collected together.

The order that survives a crash anywhere: all files written → synced → blobs renamed → one transaction. Before it,
start-up removes everything; after it, everything is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from wherry.content import ContentStore, Damage, Staged
from wherry.lib.clock import now_ns
from wherry.lib.errors import Internal
from wherry.oci.digest import Digest
from wherry.oci.reference import Reference
from wherry.snapshots import NewLayer, Snapshots
from wherry.state import blob_source
from wherry.state import content as content_state
from wherry.state import image as image_state
from wherry.state.database import Database
from wherry.state.garbage import Garbage, collect
from wherry.state.image import ImageDocument, ImageRecords, Layer
from wherry.state.lease import Leases
from wherry.state.snapshot import SnapshotRecords
from wherry.transfer.members import reason_of

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One image, complete on disk but not yet known."""

    image: ImageDocument
    names: Sequence[Reference] = ()
    blobs: Sequence[Staged] = ()
    layers: Sequence[NewLayer] = ()
    repository: str = ""
    """Where its layers came from (domain/path), if from a registry."""


@dataclass(slots=True)
class Replaced:
    """Names that led to another image before: name to that image's id."""

    names: dict[Reference, str] = field(default_factory=dict)


class ImageStore:
    """Blobs, layers, images and names of one daemon, below ``data_root``."""

    def __init__(self, data_root: Path, database: Database, driver: str = "") -> None:
        self.database = database
        self.content = ContentStore(data_root / "content")
        self.snapshots = Snapshots(data_root / "snapshots", SnapshotRecords(database), driver)
        self.images = ImageRecords(database)
        self.leases = Leases(database)
        # Between forgetting a blob and deleting its file nobody may put the same blob in place.
        self._files = asyncio.Lock()

    def recover(self) -> list[Damage]:
        """Bring files and records together after whatever happened; call once, before anything else."""
        self.leases.recover()
        self.snapshots.recover()
        garbage = self.database.write_now(collect)
        self.snapshots.discard(garbage.numbers)
        damage = self.content.recover(content_state.sizes(self.database))
        for one in damage:
            logger.error("%s: load or pull its image again", one)
        return damage

    async def close(self) -> None:
        """Finish what is under way in threads."""
        await self.snapshots.close()

    async def commit(self, arrival: Arrival) -> Replaced:
        """Make the image known, with its names. Blobs and layers must be written; they are synced here."""
        replaced = Replaced()
        await self._blocking(self.content.sync)
        async with self._files:
            sizes = await self._blocking(lambda: self.content.publish(arrival.blobs))

            def change(connection: sqlite3.Connection) -> None:
                content_state.record(connection, sizes)
                if arrival.repository:
                    for layer in arrival.image.layers:
                        blob_source.record(connection, layer.digest, arrival.repository, layer.diff_id, layer.size)
                tagged = now_ns() if arrival.names else 0
                known = image_state.load(connection, arrival.image.id)
                image_state.save(connection, _merged(known, arrival.image, tagged))
                for name in arrival.names:
                    before = image_state.point(connection, name.stored, arrival.image.id)
                    if before is not None and before != arrival.image.id:
                        replaced.names[name] = before

            await self.snapshots.commit(arrival.layers, change)
        return replaced

    @contextlib.asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """While this is held no blob comes into place or goes: files and records of blobs can be compared."""
        async with self._files:
            yield

    async def collect(self) -> Garbage:
        """Forget and delete what nothing needs any more."""
        async with self._files:
            garbage = await self.database.write(collect)
            if garbage.blobs:
                await asyncio.to_thread(self.content.remove, garbage.blobs)
            await asyncio.to_thread(self.content.expire)
        self.snapshots.discard(garbage.numbers)
        return garbage

    @staticmethod
    async def _blocking(step: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(step)
        except OSError as error:
            raise Internal(f"image store: {error}") from error

    async def put(self, data: bytes) -> Staged:
        """A small blob, written down to be committed. Raises Internal when there is no space left."""
        try:
            return await asyncio.to_thread(self.content.put, data)
        except OSError as error:
            raise Internal(f"write: {reason_of(error)}") from error

    def layers(self) -> list[Layer]:
        """The layers of every image; one that several images share is there as often."""
        return [layer for image in self.images.all() for layer in image.layers]

    def has_blob(self, digest: Digest) -> bool:
        """Whether a blob is recorded and whole."""
        size = content_state.size_of(self.database, digest)
        return size is not None and self.content.intact(digest, size)


def _merged(known: ImageDocument | None, new: ImageDocument, tagged_ns: int) -> ImageDocument:
    """The new record, whose blobs are known to be whole, with what the old one remembers."""
    if known is None:
        return msgspec.structs.replace(new, tagged_ns=tagged_ns)
    same = [layer.digest for layer in known.layers] == [layer.digest for layer in new.layers]
    if same and known.manifest and new.manifest in ("", known.manifest) and not new.index:
        # Loaded again, or pulled by the manifest's digest: what it came with before is still true of it.
        new = msgspec.structs.replace(
            new, manifest=known.manifest, index=known.index, attached=known.attached or new.attached
        )
    return msgspec.structs.replace(
        new, tagged_ns=tagged_ns or known.tagged_ns, loaded_ns=known.loaded_ns, parent=new.parent or known.parent
    )
