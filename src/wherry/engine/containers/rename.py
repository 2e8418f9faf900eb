"""``docker rename``."""

from __future__ import annotations

import msgspec

from wherry.engine.containers import notify
from wherry.engine.containers.context import Context
from wherry.engine.containers.names import check_name
from wherry.lib.errors import Conflict, InvalidArgument


async def rename(context: Context, key: str, name: str) -> None:
    """Give a container another name. Raises NotFound, InvalidArgument, Conflict."""
    entry = context.registry.find(key)
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")
    new = check_name(name)
    async with entry.lock:
        old = entry.name
        if old == new:
            raise InvalidArgument("Renaming a container with the same name as its current name")
        try:
            context.registry.reserve(new, entry.id)
        except Conflict as error:
            raise Conflict(f"Error when allocating new name: {error.message}") from None
        try:
            await context.registry.update(entry, msgspec.structs.replace(entry.record, name=new))
        except BaseException:
            context.registry.release(new)
            raise
        context.registry.release(old)
        await context.networks.rename(entry.id, new)
    notify.emit(context, entry.record, "rename", oldName=f"/{old}")
