"""``docker stop``, ``kill``, ``pause`` and ``unpause``.

None of them waits while it holds the container's lock: the end itself needs it. The shim says when the end has come.
"""

from __future__ import annotations

import asyncio
import signal

import msgspec

from wherry.engine.containers import foreign, notify
from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.signals import parse_signal
from wherry.engine.containers.state import Status
from wherry.lib.errors import Conflict, Internal, NotFound, NotModified
from wherry.linux.cgroups import CgroupError
from wherry.runtime.spec import cgroup_path

STOP_TIMEOUT = 10
KILL_TIMEOUT = 10
"""Seconds that a SIGKILL may take; only a process stuck in the kernel takes longer."""


async def stop(context: Context, key: str, *, signal_name: str, timeout: int | None) -> None:
    """End a container: its stop signal, and SIGKILL after ``timeout`` seconds (-1: never).

    Raises NotFound, NotModified when it does not run, InvalidArgument for an unknown signal.
    """
    entry = context.registry.find(key)
    number = parse_signal(signal_name) if signal_name else stop_signal(entry.record)
    if not entry.record.state.alive and entry.record.state.status is not Status.RESTARTING:
        raise NotModified("")
    await stop_entry(context, entry, number, timeout)


async def stop_entry(context: Context, entry: Entry, number: int, timeout: int | None) -> None:
    """The same for a container that is known to run or to wait for its restart."""
    entry.stop_requested = True
    entry.cancel_restart()
    await _mark_stopped(context, entry)
    await end(context, entry, number, timeout=stop_timeout(entry.record) if timeout is None else timeout)
    notify.emit(context, entry.record, "stop")


async def end(context: Context, entry: Entry, number: int, *, timeout: float) -> None:
    """Signal it until it has ended: ``number`` first, SIGKILL after ``timeout`` seconds (negative: never)."""
    if not entry.record.state.alive:
        return
    exited = entry.exited
    await deliver(context, entry, number)
    try:
        async with asyncio.timeout(timeout if timeout >= 0 else None):
            await asyncio.shield(exited)
            return
    except TimeoutError:
        await deliver(context, entry, signal.SIGKILL)
    try:
        async with asyncio.timeout(KILL_TIMEOUT):
            await asyncio.shield(exited)
    except TimeoutError:
        raise Internal(f"container {entry.id} did not end within {KILL_TIMEOUT} s of SIGKILL") from None


async def kill(context: Context, key: str, *, signal_name: str) -> None:
    """Send a signal; SIGKILL (the default) also waits for the end. Raises NotFound, Conflict, InvalidArgument."""
    try:
        entry = context.registry.find(key)
    except NotFound as error:
        raise NotFound(f"cannot kill container: {key}: {error.message}") from None
    number = parse_signal(signal_name) if signal_name else int(signal.SIGKILL)
    if not entry.record.state.alive:
        raise Conflict(f"cannot kill container: {key}: container {entry.id} is not running")
    if number in (signal.SIGKILL, stop_signal(entry.record)):
        entry.stop_requested = True
        await _mark_stopped(context, entry)
    if number == signal.SIGKILL:
        await end(context, entry, number, timeout=KILL_TIMEOUT)
    else:
        await deliver(context, entry, number)


async def pause(context: Context, key: str) -> None:
    """Freeze every process. Raises NotFound, Conflict, Internal."""
    entry = context.registry.find(key)
    async with entry.lock:
        state = entry.record.state
        if state.status is Status.PAUSED:
            raise Conflict(f"container {entry.id} is already paused")
        if state.status is not Status.RUNNING:
            raise Conflict(f"container {entry.id} is not running")
        try:
            await foreign.freeze(context, entry.record, cgroup(context, entry.record))
        except CgroupError as error:
            raise Internal(f"Cannot pause container {entry.id}: {error}") from error
        await context.registry.update(entry, entry.record.with_state(state.moved(Status.PAUSED)))
    notify.emit(context, entry.record, "pause")


async def unpause(context: Context, key: str) -> None:
    """Let a paused container run on. Raises NotFound, Conflict."""
    entry = context.registry.find(key)
    async with entry.lock:
        if entry.record.state.status is not Status.PAUSED:
            raise Conflict(f"container {entry.id} is not paused")
        await thaw(context, entry)


async def deliver(context: Context, entry: Entry, number: int) -> None:
    """Send one signal to process 1; a paused container is let run when the signal is meant to end it."""
    shim = entry.shim
    if shim is None:
        return
    await shim.signal(number)
    notify.emit(context, entry.record, "kill", signal=str(int(number)))
    if number in (signal.SIGKILL, stop_signal(entry.record)):
        async with entry.lock:
            if entry.record.state.status is Status.PAUSED:
                await thaw(context, entry)


def stop_signal(record: ContainerRecord) -> int:
    """What ``docker stop`` sends first."""
    return parse_signal(record.config.stop_signal) if record.config.stop_signal else int(signal.SIGTERM)


def stop_timeout(record: ContainerRecord) -> int:
    """Seconds between that and SIGKILL."""
    return STOP_TIMEOUT if record.config.stop_timeout is None else record.config.stop_timeout


def cgroup(context: Context, record: ContainerRecord) -> str:
    """The container's control group."""
    return cgroup_path(record.id, record.host_config.cgroup_parent, context.settings.cgroup_parent)


async def thaw(context: Context, entry: Entry) -> None:
    """Let it run on; the caller holds its lock and has seen that it is paused. Raises CgroupError, Internal."""
    await foreign.thaw(context, entry.record, cgroup(context, entry.record))
    await context.registry.update(entry, entry.record.with_state(entry.record.state.moved(Status.RUNNING)))
    notify.emit(context, entry.record, "unpause")


async def _mark_stopped(context: Context, entry: Entry) -> None:
    """Remember over a restart of the daemon that somebody stopped it: ``unless-stopped`` and ``always`` ask."""
    async with entry.lock:
        record = entry.record
        if record.state.status is Status.RESTARTING:
            record = record.with_state(record.state.moved(Status.EXITED))
        if record is not entry.record or not record.manually_stopped:
            await context.registry.update(entry, msgspec.structs.replace(record, manually_stopped=True))
