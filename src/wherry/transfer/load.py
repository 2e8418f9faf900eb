"""``docker load``: an archive of images, streamed in, into the store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from wherry.oci.manifest import Platform
from wherry.oci.reference import Reference
from wherry.state.lease import CONTENT
from wherry.transfer.keeping import Keeper
from wherry.transfer.layouts import PlannedImage, read_plan
from wherry.transfer.members import take_members
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import give_up, through_pipe
from wherry.transfer.unpack import Unpacker

REPORT_S = 0.1
"""Seconds between two reports on one layer."""


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """A layer is being unpacked: bytes read, of so many."""

    diff_id: str
    current: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An image is in the store. ``replaced``: names that led to another image before, and to which."""

    image_id: str
    names: tuple[Reference, ...]
    replaced: dict[Reference, str]


async def load_archive(
    store: ImageStore, chunks: AsyncIterator[bytes], platform: Platform | None = None
) -> AsyncGenerator[LayerProgress | Loaded, None]:
    """Load every image of the archive that ``chunks`` is, or those of ``platform``, one after the other.

    Raises BadArchive, InvalidArgument, Internal. What was loaded before the fault stays, of the rest nothing does.
    """
    members = await through_pipe(chunks, lambda pipe: take_members(store.content, pipe))
    try:
        plan = await asyncio.to_thread(read_plan, members, platform)
        async with Unpacker(store) as unpacker:
            for planned in plan:
                async with contextlib.aclosing(_load_one(store, unpacker, planned)) as steps:
                    async for step in steps:
                        yield step
    finally:
        await asyncio.to_thread(members.discard)


async def _load_one(
    store: ImageStore, unpacker: Unpacker, planned: PlannedImage
) -> AsyncGenerator[LayerProgress | Loaded, None]:
    loop = asyncio.get_running_loop()
    latest: dict[str, LayerProgress] = {}

    def report(diff_id: str, current: int, total: int) -> None:
        loop.call_soon_threadsafe(latest.__setitem__, diff_id, LayerProgress(diff_id, current, total))

    work = asyncio.ensure_future(unpacker.image(planned.parsed, planned.layers, planned.names, report))
    try:
        while not work.done():
            await asyncio.wait([work], timeout=REPORT_S)
            for diff_id in list(latest):
                yield latest.pop(diff_id)
    finally:
        await give_up(work)
    arrival = work.result()
    keeper = Keeper(store, planned)
    async with store.leases.hold() as lease:
        await lease.add(CONTENT, keeper.digests)
        try:
            replaced = await unpacker.commit(await keeper.complete(arrival))
        finally:
            await asyncio.to_thread(keeper.discard)
    yield Loaded(image_id=arrival.image.id, names=planned.names, replaced=replaced)
