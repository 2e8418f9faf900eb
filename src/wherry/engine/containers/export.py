"""``docker export``: all files of a container, as one tar without layers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from wherry.engine.containers import notify
from wherry.engine.containers.changes import lowers_of
from wherry.engine.containers.context import Context
from wherry.engine.containers.state import Status
from wherry.lib.errors import Conflict
from wherry.transfer.exporting import root_tar
from wherry.transfer.threads import from_thread


async def export(context: Context, key: str) -> AsyncGenerator[bytes, None]:
    """The tar, piece by piece. Raises NotFound, Conflict, Internal before the first piece, Internal later."""
    entry = context.registry.find(key)
    status = entry.record.state.status
    if status is Status.DEAD:
        raise Conflict(f"You cannot export container {entry.id} which is Dead")
    if status is Status.REMOVING:
        raise Conflict(f"You cannot export container {entry.id} which is being removed")
    async with context.snapshots.changes(entry.id) as directory:
        layers = (directory, *lowers_of(context, entry.id))
        async with contextlib.aclosing(from_thread(lambda stop: root_tar(layers, stop.is_set))) as pieces:
            async for piece in pieces:
                yield piece
    notify.emit(context, entry.record, "export")
