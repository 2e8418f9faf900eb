"""``docker diff``: which files of a container differ from its image's."""

from __future__ import annotations

import asyncio
import os

from wherry.diff.changes import changes_of
from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.state import Status
from wherry.lib.errors import Conflict, Internal
from wherry.snapshots.merged import Merged


async def changes(context: Context, key: str) -> list[tuple[str, int]]:
    """Paths, and what happened to them (``diff.changes``). Raises NotFound, Internal."""
    entry = context.registry.find(key)
    async with context.snapshots.changes(entry.id) as directory:
        lowers = context.snapshots.below(entry.id)

        def work() -> list[tuple[str, int]]:
            with Merged.open(lowers) as merged:
                return [(os.fsdecode(path), kind) for path, kind in changes_of(directory, merged)]

        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise Internal(f"the files of container {entry.id} cannot be read: {error}") from error


def check_there(record: ContainerRecord, verb: str) -> None:
    """Raise Conflict if its files go, or are half gone: nobody may ``verb`` it any more."""
    if record.state.status is Status.DEAD:
        raise Conflict(f"You cannot {verb} container {record.id} which is Dead")
    if record.state.status is Status.REMOVING:
        raise Conflict(f"You cannot {verb} container {record.id} which is being removed")
