"""Restart policies: whether an ended container runs again, and after how long.

The wait doubles from 100 ms to a minute while the container keeps ending within ten seconds of its start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.state import Status
from wherry.lib.errors import WherryError
from wherry.runtime.model import ExitStatus

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 60.0
SETTLED_NS = 10_000_000_000

Run = Callable[[Context, Entry], Awaitable[None]]
"""Starts a container whose lock is held."""

_log = logging.getLogger(__name__)


def wanted(record: ContainerRecord, code: int, *, stopped: bool) -> bool:
    """Whether the policy asks for another run after exit ``code``; somebody who stops a container is obeyed."""
    policy = record.host_config.restart_policy
    if stopped:
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name == "on-failure" and code != 0:
        return policy.maximum_retry_count == 0 or record.restart_count < policy.maximum_retry_count
    return False


def delay(entry: Entry, status: ExitStatus) -> float | None:
    """Seconds until the next run; None for no next run."""
    if not wanted(entry.record, status.code, stopped=entry.stop_requested):
        return None
    lived = status.finished_at - entry.record.state.started_at
    entry.restart_delay = FIRST_DELAY_S if lived >= SETTLED_NS else min(entry.restart_delay * 2, LONGEST_DELAY_S)
    return entry.restart_delay


async def restart_after(context: Context, entry: Entry, seconds: float, run: Run) -> None:
    """Run the container again after a while; stopping or removing it meanwhile cancels this."""
    await asyncio.sleep(seconds)
    async with entry.lock:
        if entry.record.state.status is not Status.RESTARTING:
            return
        entry.restart_timer = None
        try:
            await run(context, entry)
        except (WherryError, OSError) as error:
            _log.error("container %s could not be restarted: %s", entry.id, error)
