"""``docker export``: all files of a container, as one tar without layers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from wherry.engine.containers import notify
from wherry.engine.containers.changes import check_there
from wherry.engine.containers.context import Context
from wherry.transfer.exporting import root_tar
from wherry.transfer.threads import from_thread


async def export(context: Context, key: str) -> AsyncGenerator[bytes, None]:
    """The tar, piece by piece. Raises NotFound, Conflict, Internal before the first piece, Internal later."""
    entry = context.registry.find(key)
    check_there(entry.record, "export")
    async with context.snapshots.changes(entry.id) as directory:
        layers = (directory, *context.snapshots.below(entry.id))
        async with contextlib.aclosing(from_thread(lambda stop: root_tar(layers, stop.is_set))) as pieces:
            async for piece in pieces:
                yield piece
    notify.emit(context, entry.record, "export")
