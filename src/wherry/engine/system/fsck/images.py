"""Images: the config can be read and says the layers that are recorded; names lead to images that there are."""

from __future__ import annotations

import asyncio
import sqlite3

from wherry.engine.system.fsck.finding import Finding, Mend
from wherry.engine.system.fsck.layers import LayerRepair
from wherry.engine.system.fsck.owners import Owners
from wherry.lib.errors import WherryError
from wherry.lib.ids import short
from wherry.oci.digest import Digest
from wherry.oci.image import CONFIG_MAX, parse_image
from wherry.snapshots.model import COMMITTED, SnapshotRow
from wherry.state import content as content_state
from wherry.state import image as image_state
from wherry.state.image import ImageDocument
from wherry.transfer.store import ImageStore


class ImagesCheck:
    """Records, configs, layers and names."""

    name = "images"
    steady = False

    def __init__(self, store: ImageStore, repair: LayerRepair) -> None:
        self._store = store
        self._repair = repair

    async def look(self) -> list[Finding]:
        owners = Owners(self._store.images)
        recorded = content_state.sizes(self._store.database)
        snapshots = {row.key for row in self._store.snapshots.rows()}
        found = []
        for image in owners.documents:
            found += await self._config(image, owners)
            for digest in image.blobs:
                if digest not in recorded:
                    found.append(_unrecorded(image, digest, owners))
            found += self._chain(image, snapshots, owners)
        query = "SELECT name, image_id FROM image_reference WHERE image_id NOT IN (SELECT id FROM image)"
        return found + [self._dangling(name, image_id) for name, image_id in self._store.database.read(query)]

    async def _config(self, image: ImageDocument, owners: Owners) -> list[Finding]:
        try:
            raw = await asyncio.to_thread(self._store.content.read, Digest(image.id), CONFIG_MAX)
            chain = list(parse_image(raw).chain)
        except (WherryError, OSError) as error:
            return [self._unreadable(image, str(error), owners)]
        if chain == image.chain:
            return []
        return [
            Finding(
                kind="image-chain",
                subject=image.id,
                problem=f"the config of {owners.name(image)} names other layers than are recorded",
                remedy="is forgotten; then pull or load it again",
                mend=self._forgetting(image),
            )
        ]

    def _unreadable(self, image: ImageDocument, reason: str, owners: Owners) -> Finding:
        return Finding(
            kind="image-config",
            subject=image.id,
            problem=f"the config of {owners.name(image)} cannot be read: {reason}",
            remedy=f"is forgotten; then pull or load {owners.name(image)} again",
            mend=self._forgetting(image),
        )

    def _chain(self, image: ImageDocument, snapshots: set[str], owners: Owners) -> list[Finding]:
        found, parent = [], None
        for layer in image.layers:
            if layer.chain_id not in snapshots:
                row = SnapshotRow(number=0, key=layer.chain_id, parent=parent, kind=COMMITTED)
                found.append(self._repair.finding("layer-missing", row, "is not recorded", owners))
            parent = layer.chain_id
        return found

    def _forgetting(self, image: ImageDocument) -> Mend:
        async def mend() -> None:
            await self._store.database.write(lambda connection: image_state.delete(connection, image.id))
            await self._store.collect()

        return mend

    def _dangling(self, name: str, image_id: str) -> Finding:
        def unpoint(connection: sqlite3.Connection) -> None:
            image_state.unpoint(connection, [name])

        async def mend() -> None:
            await self._store.database.write(unpoint)

        return Finding(
            kind="reference-dangling",
            subject=name,
            problem=f"leads to image {short(image_id)}, which is not there",
            remedy="is taken back",
            mend=mend,
        )


def _unrecorded(image: ImageDocument, digest: str, owners: Owners) -> Finding:
    return Finding(
        kind="blob-unrecorded",
        subject=digest,
        problem=f"is part of image {owners.name(image)}, and there is no record of it",
        remedy=f"pull or load {owners.name(image)} again",
    )
