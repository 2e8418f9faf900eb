"""``docker rm``: idempotent and resumable. The order makes every crash recoverable: mark, files, record."""

from __future__ import annotations

import asyncio
import signal

from wherry.engine.containers import mount_points, notify
from wherry.engine.containers import stop as stopping
from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.state import Status
from wherry.lib.errors import Conflict
from wherry.linux.trees import remove_tree


async def remove(context: Context, key: str, *, force: bool, volumes: bool) -> None:
    """Remove a container, and with ``force`` end it first. Raises NotFound, Conflict while it runs."""
    entry = context.registry.find(key)
    if entry.record.state.status is Status.REMOVING and entry.lock.locked():
        raise Conflict(f"removal of container {entry.id} is already in progress")
    if not force:
        await remove_ended(context, entry, volumes=volumes)
        return
    while True:
        entry.stop_requested = True
        entry.cancel_restart()
        await stopping.end(context, entry, signal.SIGKILL, timeout=stopping.KILL_TIMEOUT)
        try:
            await remove_ended(context, entry, volumes=volumes, forced=True)
        except Conflict:
            if entry.record.state.alive:
                continue  # a start was under way
            raise
        return


async def remove_ended(context: Context, entry: Entry, *, volumes: bool, forced: bool = False) -> None:
    """Remove a container whose processes have ended; gone already is no error.

    One that waits for its restart goes only when ``forced``. Raises Conflict.
    """
    async with entry.lock:
        if entry.id not in context.registry:
            return
        if entry.record.state.alive or not forced:
            _refuse_alive(entry.record)
        entry.cancel_restart()
        if entry.record.state.status is Status.RESTARTING:
            await context.registry.update(entry, entry.record.with_state(entry.record.state.moved(Status.EXITED)))
        await _take_apart(context, entry, volumes=volumes)


async def _take_apart(context: Context, entry: Entry, *, volumes: bool) -> None:
    """Record and snapshot go in one transaction; the directories after it, where start-up finds what a crash leaves.

    Volumes that go with the container go first, under a stored mark, so that a crash does not leave them behind.
    """
    removing = entry.record.with_state(entry.record.state.moved(Status.REMOVING))
    if volumes and any(mount.anonymous for mount in removing.mounts):
        await context.registry.update(entry, removing)
    else:
        entry.record = removing
    record = entry.record
    await mount_points.release(context, record, remove_anonymous=volumes)
    await context.snapshots.remove(record.id, context.registry.forgetting(entry))
    context.registry.drop(entry)
    await asyncio.to_thread(_remove_directories, context, record.id)
    entry.hub.end()
    notify.emit(context, record, "destroy")
    entry.removed.set_result(record.state.exit_code)


def _remove_directories(context: Context, container_id: str) -> None:
    for directory in (context.settings.bundle(container_id), context.settings.directory(container_id)):
        remove_tree(str(directory))


def _refuse_alive(record: ContainerRecord) -> None:
    """Docker's words, which name the state and the way out."""
    name, status = record.name, record.state.status
    if status is Status.PAUSED:
        raise Conflict(f'cannot remove container "/{name}": container is paused and must be unpaused first')
    if status in (Status.RUNNING, Status.RESTARTING):
        raise Conflict(
            f'cannot remove container "/{name}": container is {status}: '
            "stop the container before removing or force remove"
        )
