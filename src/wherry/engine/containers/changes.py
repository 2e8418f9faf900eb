"""``docker diff``: which files of a container differ from its image's."""

from __future__ import annotations

import asyncio
import os

from wherry.diff.changes import changes_of
from wherry.engine.containers.context import Context
from wherry.lib.errors import Internal
from wherry.snapshots.merged import Merged
from wherry.snapshots.snapshotter import SKELETON


async def changes(context: Context, key: str) -> list[tuple[str, int]]:
    """Paths, and what happened to them (``diff.changes``). Raises NotFound, Internal."""
    entry = context.registry.find(key)
    async with context.snapshots.changes(entry.id) as directory:
        lowers = lowers_of(context, entry.id)

        def work() -> list[tuple[str, int]]:
            with Merged.open(lowers) as merged:
                return [(os.fsdecode(path), kind) for path, kind in changes_of(directory, merged)]

        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise Internal(f"the files of container {entry.id} cannot be read: {error}") from error


def lowers_of(context: Context, container_id: str) -> tuple[str, ...]:
    """The directories that a container stands on, top first; the skeleton under all of them is none of its changes."""
    below = context.snapshots.chain(container_id)[1:]
    numbers = (*(row.number for row in below), SKELETON)
    return tuple(f"{context.snapshots.directory(number)}/fs" for number in numbers)
