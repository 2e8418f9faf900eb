"""``docker pull`` of one image: layers are downloaded side by side and unpacked bottom up, while they come in.

What the store has of a layer decides what is left to do:

    snapshot    blob        known layer: "Already exists"
    snapshot    no blob     download, compare with the diff id
    none        blob        unpack from the blob
    none        no blob     download, unpack meanwhile

Until ``ImageStore.commit`` nothing of it is known; whoever ends before that takes its files away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from wherry.content import Staged
from wherry.lib.clock import now_ns
from wherry.lib.errors import Internal, WherryError
from wherry.oci.digest import Digest, parse_digest
from wherry.oci.reference import Reference
from wherry.state.image import ImageDocument, Layer
from wherry.state.lease import CONTENT, SNAPSHOT, Lease
from wherry.transfer.fetch import Downloads
from wherry.transfer.layers import Extractions
from wherry.transfer.members import reason_of
from wherry.transfer.progress import Say
from wherry.transfer.pull_layer import LayerPull
from wherry.transfer.resolve import Resolved
from wherry.transfer.source import Origin
from wherry.transfer.store import Arrival, ImageStore
from wherry.transfer.threads import to_its_end

TICK_S = 0.1
"""Seconds between two figures of a layer on the move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """An image is in the store. ``updated``: whether one of its names is new or led to another image before."""

    image_id: str
    updated: bool


class Puller:
    """The pulls of one daemon: ``limit`` layers are downloaded at once, whoever they are for."""

    def __init__(self, store: ImageStore, limit: int) -> None:
        self._store = store
        self._downloads = Downloads(store.content, limit)
        self._extractions = Extractions(store.snapshots)

    async def close(self) -> None:
        """Wait until what was given up is gone; the pulls must have ended."""
        await self._extractions.close()
        await self._downloads.close()

    async def pull(self, image: Resolved, names: Sequence[Reference], origin: Origin, say: Say) -> Pulled:
        """Bring the image into the store under ``names``. Raises WherryError; then nothing of it stays."""
        before = {self._store.images.named(name.stored) for name in names}
        async with AsyncExitStack() as stack:
            lease = await stack.enter_async_context(self._store.leases.hold())
            await lease.add(CONTENT, [image.parsed.digest, *(layer.digest for layer in image.layers)])
            await lease.add(SNAPSHOT, image.parsed.chain)
            known = self._whole(image.parsed.digest)
            if known is None:
                layers = [self._layer(image, number, origin, say) for number in range(len(image.layers))]
                arrival = await self._layers(image, layers, stack)
            else:
                arrival = Arrival(image=self._renewed(known, image))
            # Once begun it is ended: blobs that are in place must be recorded, whatever the client does.
            await to_its_end(asyncio.ensure_future(self._commit(arrival, image, names, origin, lease)))
        return Pulled(image_id=image.parsed.digest, updated=before != {image.parsed.digest})

    # --- what is there --------------------------------------------------------------------------------------------

    def _whole(self, image_id: str) -> ImageDocument | None:
        """The image, if the store has all of it."""
        document = self._store.images.get(image_id)
        if document is None or not all(self._store.has_blob(Digest(digest)) for digest in document.blobs):
            return None
        return document if all(self._store.snapshots.intact(key) for key in document.chain) else None

    @staticmethod
    def _renewed(known: ImageDocument, image: Resolved) -> ImageDocument:
        """The record of an image that is there, with what this pull tells of it if its layers are just these."""
        if [layer.digest for layer in known.layers] != [layer.digest for layer in image.layers]:
            return known
        return _document(image, known.layers, known.size)

    def _layer(self, image: Resolved, number: int, origin: Origin, say: Say) -> LayerPull:
        return LayerPull(
            self._downloads,
            self._extractions,
            descriptor=image.layers[number],
            diff_id=image.parsed.diff_ids[number],
            chain_id=image.parsed.chain[number],
            origin=origin,
            say=say,
        )

    # --- what is not ----------------------------------------------------------------------------------------------

    async def _layers(self, image: Resolved, layers: Sequence[LayerPull], stack: AsyncExitStack) -> Arrival:
        known = {layer.digest: layer for layer in self._store.layers()}
        for layer in layers:
            stack.push_async_callback(layer.release)
            layer.plan(self._store, known)
        for layer in layers:
            layer.announce()
        ticking = asyncio.ensure_future(_tick(layers))
        try:
            async with asyncio.TaskGroup() as group:
                for layer in layers:
                    group.create_task(layer.watch())
                group.create_task(self._upwards(layers))
        except BaseExceptionGroup as error:
            raise _first(error) from None
        finally:
            ticking.cancel()
        fresh = [layer.fresh for layer in layers if layer.fresh is not None]
        staged = {layer.staged.digest: layer.staged for layer in layers if layer.staged is not None}
        document = _document(image, [layer.record for layer in layers], sum(layer.size for layer in layers))
        return Arrival(image=document, blobs=list(staged.values()), layers=fresh)

    async def _upwards(self, layers: Sequence[LayerPull]) -> None:
        """Unpack one layer after the other."""
        below: list[str] = []
        parent: str | None = None
        for layer in layers:
            directory = await layer.ready(below, parent, self._store.snapshots)
            below.insert(0, directory)
            parent = layer.chain_id

    async def _commit(
        self, arrival: Arrival, image: Resolved, names: Sequence[Reference], origin: Origin, lease: Lease
    ) -> None:
        """Make it known, with the small blobs that are not there yet."""
        document = arrival.image
        wanted = set(document.blobs)
        small = {image.parsed.digest: image.parsed.raw, image.manifest.digest: image.manifest.raw, **image.blobs}
        if image.index is not None:
            small[image.index.digest] = image.index.raw
        await lease.add(CONTENT, small)
        put: list[Staged] = []
        try:
            for digest, raw in small.items():
                if digest in wanted and not self._store.has_blob(parse_digest(digest)):
                    put.append(await self._store.put(raw))
            await self._store.commit(
                Arrival(
                    image=document,
                    names=names,
                    blobs=[*arrival.blobs, *put],
                    layers=arrival.layers,
                    repository=origin.repository,
                )
            )
        except OSError as error:
            raise Internal(f"write: {reason_of(error)}") from error
        finally:
            for blob in put:
                blob.discard()


def _document(image: Resolved, layers: Sequence[Layer], size: int) -> ImageDocument:
    return ImageDocument(
        id=image.parsed.digest,
        layers=list(layers),
        size=size,
        loaded_ns=now_ns(),
        manifest=image.manifest.digest,
        index=image.index.digest if image.index is not None else "",
        attached=list(image.blobs),
    )


async def _tick(layers: Sequence[LayerPull]) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        for layer in layers:
            layer.tell_figures()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What is told of several failures: one with words, if there is one."""
    flat: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            flat.append(error)
    return next((error for error in flat if isinstance(error, WherryError)), flat[0])
