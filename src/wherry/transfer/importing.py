"""``docker import``: a tar of a root file system becomes an image of one layer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from wherry.content import ContentStore
from wherry.diff.compression import CHUNK
from wherry.lib.clock import now_ns, rfc3339
from wherry.lib.errors import Internal
from wherry.oci.reference import Reference
from wherry.transfer.load import Loaded
from wherry.transfer.members import Member, reason_of, staged_member
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import Pipe, through_pipe
from wherry.transfer.unpack import Unpacker

MakeConfig = Callable[[str], bytes]
"""The image config for a layer of this diff id."""


async def import_rootfs(
    store: ImageStore, chunks: AsyncIterator[bytes], make_config: MakeConfig, names: tuple[Reference, ...]
) -> Loaded:
    """Make an image of the tar (packed or not) that ``chunks`` is. Raises BadArchive, Internal."""
    member = await through_pipe(chunks, lambda pipe: _take(store.content, pipe))
    try:
        async with Unpacker(store) as unpacker:
            arrival = await unpacker.rootfs(member, make_config, names)
            replaced = await unpacker.commit(arrival)
    finally:
        await asyncio.to_thread(member.discard)
    return Loaded(image_id=arrival.image.id, names=names, replaced=replaced)


def import_config(config: dict[str, Any], *, comment: str, architecture: str, os: str, variant: str = "") -> MakeConfig:
    """The config of an imported image, made now."""
    created = rfc3339(now_ns())

    def make(diff_id: str) -> bytes:
        members: dict[str, Any] = {
            "architecture": architecture,
            "comment": comment,
            "config": config,
            "created": created,
            "history": [{"created": created, "comment": comment}],
            "os": os,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
        if variant:
            members["variant"] = variant
        return msgspec.json.encode(members)

    return make


def _take(content: ContentStore, pipe: Pipe) -> Member:
    try:
        return staged_member(content.take(iter(lambda: pipe.read(CHUNK), b"")))
    except OSError as error:
        raise Internal(f"write: {reason_of(error)}") from error
