"""A container's end: seen by its shim, recorded, cleaned up, and then removed or started again as its policy says."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from wherry.engine.containers import mount_points, notify, restart_policy, shared_memory
from wherry.engine.containers import remove as removal
from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.restart_policy import Run
from wherry.lib.errors import WherryError
from wherry.linux.trees import remove_tree
from wherry.runtime.launcher import Shim
from wherry.runtime.model import ExitStatus

_log = logging.getLogger(__name__)


def watch(context: Context, entry: Entry, shim: Shim, run: Run) -> asyncio.Task[None]:
    """Wait for the end in the background; the entry owns the task. ``run`` starts the container again."""
    return asyncio.create_task(_watch(context, entry, shim, run), name=f"exit of {entry.id[:12]}")


async def _watch(context: Context, entry: Entry, shim: Shim, run: Run) -> None:
    status = await shim.wait()
    try:
        async with entry.lock:
            await ended(context, entry, status, run)
    except Exception:  # noqa: BLE001 (nobody else would ever see it)
        _log.exception("the end of container %s could not be recorded", entry.id)
        entry.announce_exit(status.code)


async def ended(context: Context, entry: Entry, status: ExitStatus, run: Run) -> None:
    """Record how the container ended and give back what it held; the caller holds its lock."""
    delay = restart_policy.delay(entry, status)
    record = entry.record
    state = record.state.exited(
        code=status.code, finished_at=status.finished_at, oom_killed=status.oom_killed, restarting=delay is not None
    )
    await context.registry.update(
        entry,
        msgspec.structs.replace(
            record, state=state, sandbox=None, restart_count=record.restart_count + (delay is not None)
        ),
    )
    entry.shim = None
    _tell(context, record, status)
    entry.hub.end()
    await give_back(context, record)
    entry.announce_exit(status.code)
    if delay is not None:
        entry.restart_timer = asyncio.create_task(restart_policy.restart_after(context, entry, delay, run))
    elif record.host_config.auto_remove and not entry.keep_when_ended:
        remove_later(context, entry)


async def give_back(context: Context, record: ContainerRecord) -> None:
    """Network, volumes and the runtime's directory; what one of them refuses does not keep the others."""
    steps = (
        context.networks.leave(record.id),
        mount_points.end_use(context, record),
        asyncio.to_thread(remove_tree, str(context.settings.bundle(record.id))),
        asyncio.to_thread(shared_memory.release, context.settings.directory(record.id)),
    )
    for result in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(result, BaseException):
            _log.error("cleaning up after container %s", record.id, exc_info=result)


def remove_later(context: Context, entry: Entry) -> None:
    """``--rm``: remove it once its lock is free; the entry owns the task."""

    async def remove() -> None:
        try:
            await removal.remove_ended(context, entry, volumes=True)
        except (WherryError, OSError):
            _log.exception("container %s could not be removed", entry.id)

    entry.removal = asyncio.create_task(remove(), name=f"removal of {entry.id[:12]}")


def _tell(context: Context, record: ContainerRecord, status: ExitStatus) -> None:
    if status.oom_killed:
        notify.emit(context, record, "oom")
    lived = max(0, status.finished_at - record.state.started_at) // 1_000_000_000
    notify.emit(context, record, "die", exitCode=str(status.code), execDuration=str(lived))
