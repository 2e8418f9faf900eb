"""``docker attach`` and the size of the terminal."""

from __future__ import annotations

from functools import partial

from wherry.engine.containers import notify
from wherry.engine.containers.attachment import Session, Wanted
from wherry.engine.containers.context import Context
from wherry.engine.containers.state import Status
from wherry.lib.errors import Conflict


async def attach(context: Context, key: str, *, stdin: bool, stdout: bool, stderr: bool) -> Session:
    """Join a container's streams, also before its start. Raises NotFound, Conflict while it is paused or restarting."""
    entry = context.registry.find(key)
    record = entry.record
    if record.state.status is Status.PAUSED:
        raise Conflict(f"container {key} is paused, unpause the container before attach")
    if record.state.status is Status.RESTARTING:
        raise Conflict(f"container {key} is restarting, wait until the container is running")
    session = await entry.hub.open(
        Wanted(stdin=stdin and record.config.open_stdin, stdout=stdout, stderr=stderr),
        tty=record.config.tty,
        stdin_once=record.config.stdin_once,
        on_detach=partial(notify.emit, context, record, "detach"),
    )
    notify.emit(context, record, "attach")
    return session


async def resize(context: Context, key: str, height: int, width: int) -> None:
    """Set the terminal's size in characters. Raises NotFound, Conflict when it does not run."""
    entry = context.registry.find(key)
    if not entry.record.state.alive or entry.shim is None:
        raise Conflict(f"container {entry.id} is not running")
    await entry.shim.resize(height, width)
    notify.emit(context, entry.record, "resize", height=str(height), width=str(width))
