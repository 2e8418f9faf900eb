"""An image loaded from an OCI layout keeps its manifest, index and attachments: pushed, it has the digest it had."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from wherry.content import Staged
from wherry.lib.errors import InvalidArgument
from wherry.oci.digest import Digest
from wherry.state.image import Layer
from wherry.transfer.layouts import PlannedImage
from wherry.transfer.members import Member, diff_id_of
from wherry.transfer.store import Arrival, ImageStore


class Keeper:
    """For one image under a lease that holds ``digests``: adds what is kept to its arrival.

    What it wrote and nobody published is taken away by ``discard``.
    """

    def __init__(self, store: ImageStore, planned: PlannedImage) -> None:
        self._store = store
        self._planned = planned
        self._written: list[Staged] = []

    @property
    def digests(self) -> list[Digest]:
        """What is needed for the lists, if there are any."""
        lists = self._planned.lists
        return [member.digest for member in (*self._planned.layers, *lists.members)] if lists is not None else []

    async def complete(self, arrival: Arrival) -> Arrival:
        """The arrival with the lists, and with each layer's blob as the manifest names it.

        Raises InvalidArgument for a blob that is not the layer, Internal when there is no space left.
        """
        lists = self._planned.lists
        if lists is None:
            return arrival
        layers = [
            await self._layer(layer, member)
            for layer, member in zip(arrival.image.layers, self._planned.layers, strict=True)
        ]
        document = msgspec.structs.replace(
            arrival.image,
            layers=layers,
            manifest=lists.manifest.digest,
            index=lists.index.digest if lists.index is not None else "",
            attached=[member.digest for member in lists.attached],
        )
        coming = {blob.digest for blob in arrival.blobs}
        blobs = await self._blobs((*self._planned.layers, *lists.members), coming)
        return replace(arrival, image=document, blobs=[*arrival.blobs, *blobs])

    def discard(self) -> None:
        """Delete what was written and not published. Blocking."""
        for blob in self._written:
            blob.discard()

    async def _layer(self, layer: Layer, member: Member) -> Layer:
        """The record of a layer that may have been unpacked earlier, from a blob packed otherwise."""
        if layer.digest == member.digest:
            return layer
        if await asyncio.to_thread(diff_id_of, member) != layer.diff_id:
            raise InvalidArgument(f"blob {member.digest} is not the layer {layer.diff_id}")
        return msgspec.structs.replace(layer, digest=member.digest, size=member.size)

    async def _blobs(self, members: Sequence[Member], coming: set[Digest]) -> list[Staged]:
        found = []
        for member in members:
            if member.digest in coming or self._store.has_blob(member.digest):
                continue
            coming.add(member.digest)
            found.append(member.staged or await self._put(member.data or b""))
        return found

    async def _put(self, data: bytes) -> Staged:
        blob = await self._store.put(data)
        self._written.append(blob)
        return blob
