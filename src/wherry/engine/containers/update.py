"""``docker update``: limits and restart policy of a container that exists, in force at once where it runs."""

from __future__ import annotations

import asyncio

import msgspec

from wherry.engine.containers import notify
from wherry.engine.containers.context import Context
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.state import Status
from wherry.engine.containers.stop import cgroup
from wherry.lib.errors import Conflict, Internal, WherryError
from wherry.linux.cgroups import CgroupError
from wherry.runtime.spec_update import apply_update, settle_update, update_resources
from wherry.wire.container import HostConfig, UpdateResponse

DEADLINE = 10.0
"""Seconds: lowering a memory limit makes the kernel look for memory to take away first."""


async def update(context: Context, key: str, change: HostConfig) -> UpdateResponse:
    """Change what ``change`` names. A stopped container gets it when it starts.

    Raises InvalidArgument, NotFound, Conflict, and Internal when the kernel refuses, after which all is as before.
    """
    settled, warnings = settle_update(change, context.host)
    entry = context.registry.find(key)
    async with entry.lock:
        try:
            await _update(context, entry, settled)
        except WherryError as error:
            raise type(error)(f"Cannot update container {entry.id}: {error.message}") from error
    notify.emit(context, entry.record, "update")
    return UpdateResponse(warnings=warnings or None)


async def _update(context: Context, entry: Entry, change: HostConfig) -> None:
    before = entry.record
    if before.state.status in (Status.REMOVING, Status.DEAD):
        raise Conflict('container is marked for removal and cannot be "update"')
    after = msgspec.structs.replace(before, host_config=apply_update(before.host_config, change))
    resources = update_resources(change)
    if before.state.alive and resources:
        await _tell_kernel(context, cgroup(context, before), resources)
    await context.registry.update(entry, after)


async def _tell_kernel(context: Context, path: str, resources: dict[str, object]) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            await asyncio.to_thread(context.cgroups.apply, path, resources)
    except CgroupError as error:
        raise Internal(str(error)) from error
    except TimeoutError:
        raise Internal(f"the kernel has not taken the limits within {DEADLINE:.0f} s") from None
