"""``docker commit``: what a container changed becomes one more layer on its image."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from wherry.content import ContentStore
from wherry.diff.errors import Stopped
from wherry.diff.tarwriter import END
from wherry.lib.clock import now_ns, rfc3339
from wherry.lib.errors import Internal
from wherry.oci.digest import Digest, digest_of
from wherry.oci.image import ParsedImage, parse_image
from wherry.oci.manifest import host_platform
from wherry.oci.reference import Reference
from wherry.state.image import ImageDocument
from wherry.transfer.load import Loaded
from wherry.transfer.members import Member, reason_of, staged_member
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import interruptible
from wherry.transfer.unpack import Unpacker

EMPTY_LAYER = digest_of(END)
"""The tar of nothing: an image gets no layer for it."""

Pieces = Callable[[Callable[[], bool]], Iterator[bytes]]
"""Makes the tar, piece by piece, until it is told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What the new image says of itself; configurations in Docker's JSON form."""

    container_id: str
    config: dict[str, Any]
    container_config: dict[str, Any]
    command: str
    """What the container ran, for the history."""
    author: str = ""
    comment: str = ""


async def take_layer(content: ContentStore, pieces: Pieces) -> Member:
    """Write the layer down; whoever takes it discards it. Raises Internal, and what making the pieces raises."""

    def work(stop: threading.Event) -> Member:
        return staged_member(content.take(pieces(stop.is_set)))

    try:
        return await interruptible(work)
    except OSError as error:
        raise Internal(f"write: {reason_of(error)}") from error
    except Stopped:
        raise Internal("the layer was not written to its end") from None


async def commit_layer(
    store: ImageStore,
    parent: tuple[ImageDocument, ParsedImage] | None,
    layer: Member,
    child: Child,
    names: Sequence[Reference],
) -> Loaded:
    """Make an image of ``parent`` (a container may have none) and one more layer. Raises Internal, BadArchive."""
    document, parsed = parent if parent is not None else (None, None)
    diff_id = None if layer.digest == EMPTY_LAYER else layer.digest
    config = parse_image(child_config(parsed.raw if parsed is not None else b"{}", child, diff_id))
    below = document.layers if document is not None else []
    for one in below:
        if not store.snapshots.intact(one.chain_id) or not store.has_blob(Digest(one.digest)):
            raise Internal(f"layer {one.diff_id} is damaged: load or pull its image again")
    members = [Member(digest=Digest(one.digest), size=one.size) for one in below]
    async with Unpacker(store) as unpacker:
        arrival = await unpacker.image(config, [*members, layer] if diff_id else members, tuple(names))
        if document is not None:
            arrival = replace(arrival, image=msgspec.structs.replace(arrival.image, parent=document.id))
        replaced = await unpacker.commit(arrival)
    await asyncio.to_thread(layer.discard)
    return Loaded(image_id=config.digest, names=tuple(names), replaced=replaced)


def child_config(parent: bytes, child: Child, diff_id: str | None) -> bytes:
    """The new image's config. What it does not speak of is its parent's, as in dockerd."""
    old = msgspec.json.decode(parent, type=dict[str, Any])
    created = rfc3339(now_ns())
    step = {
        "created": created,
        "author": child.author,
        "created_by": child.command,
        "comment": child.comment,
        "empty_layer": diff_id is None,
    }
    diff_ids = [*((old.get("rootfs") or {}).get("diff_ids") or []), *([diff_id] if diff_id else [])]
    members = {
        "architecture": old.get("architecture") or host_platform().architecture,
        "variant": old.get("variant"),
        "author": child.author,
        "config": child.config,
        "container": child.container_id,
        "container_config": child.container_config,
        "created": created,
        "history": [*(old.get("history") or []), {key: value for key, value in step.items() if value}],
        "os": old.get("os") or "linux",
        "os.version": old.get("os.version"),
        "os.features": old.get("os.features"),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    return msgspec.json.encode({key: members[key] for key in sorted(members) if members[key]})
