"""A layer unpacked once more from its blob: to compare with what there is, or to take its place."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from wherry.diff.apply import Applied, apply_layer
from wherry.diff.compression import CHUNK, Unpacked
from wherry.lib.errors import Conflict, Internal
from wherry.oci.digest import Digest
from wherry.snapshots import NewLayer
from wherry.state.image import Layer
from wherry.state.lease import CONTENT, SNAPSHOT
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import interruptible


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A layer unpacked anew and not yet committed."""

    key: str
    directory: str
    size: int


@contextlib.asynccontextmanager
async def unpacked_again(store: ImageStore, layer: Layer, parent: str | None) -> AsyncIterator[Fresh]:
    """Unpack ``layer`` beside what there is; removed at the end unless it was committed.

    Raises Internal when the blob is not what it should be, NotFound without it, BadArchive, OSError.
    """
    async with store.leases.hold() as lease:
        await lease.add(CONTENT, [layer.digest])
        await lease.add(SNAPSHOT, [layer.chain_id, *([parent] if parent else [])])
        key, directory = await store.snapshots.extract()
        try:
            below = list(store.snapshots.lowers(parent))
            applied = await interruptible(partial(_apply, store, layer, directory, below))
            yield Fresh(key=key, directory=directory, size=applied.size)
        finally:
            if store.snapshots.exists(key):
                await store.snapshots.abandon(key)


async def put_in_place(store: ImageStore, layer: Layer, parent: str | None, *, busy: str) -> None:
    """Unpack a layer again, in place of a missing or damaged one. ``busy`` is a running container that stands on it.

    Raises Conflict then; otherwise as ``unpacked_again``.
    """
    if busy:
        raise Conflict(f"container {busy} runs on it: stop that first")
    async with unpacked_again(store, layer, parent) as fresh:
        await asyncio.to_thread(store.content.sync)
        if store.snapshots.exists(layer.chain_id):
            await store.snapshots.condemn(layer.chain_id)
        new = NewLayer(key=fresh.key, chain_id=layer.chain_id, parent=parent, size=fresh.size)
        await store.snapshots.commit([new])


def _apply(store: ImageStore, layer: Layer, directory: str, below: list[str], stop: threading.Event) -> Applied:
    digest = hashlib.sha256()
    with store.content.open(Digest(layer.digest)) as file:
        unpacked = Unpacked(file)

        def read() -> bytes:
            data = unpacked.read(CHUNK)
            digest.update(data)
            return data

        applied = apply_layer(read, directory, below, stop.is_set)
    if f"sha256:{digest.hexdigest()}" != layer.diff_id:
        raise Internal(f"blob {layer.digest} does not unpack to {layer.diff_id}")
    return applied
