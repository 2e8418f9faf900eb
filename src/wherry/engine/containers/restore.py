"""What a starting daemon finds: containers that ran on, that ended meanwhile, that a crash left half-made.

Everything is adopted or removed before the API opens:

    record says      bundle has        becomes
    ─────────────    ──────────────    ──────────────────────────────────────────────
    any              a living shim     running or paused, as the kernel says
    any              an exit status    exited with that status, then its restart policy
    running/paused   nothing           exited with 255 (the machine went down), then its restart policy
    removing, dead   nothing           removed
    none             anything          ended and removed
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path

import msgspec

from wherry.engine.containers import exit as ending
from wherry.engine.containers import foreign, restart_policy, shared_memory
from wherry.engine.containers import remove as removal
from wherry.engine.containers import start as starting
from wherry.engine.containers.context import Context
from wherry.engine.containers.networking import sandbox_record
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.state import State, Status
from wherry.engine.containers.stop import cgroup
from wherry.lib.clock import now_ns
from wherry.lib.errors import NotFound, WherryError
from wherry.linux.cgroups import CgroupError
from wherry.linux.trees import remove_tree
from wherry.network.model import Sandbox
from wherry.runtime.launcher import Shim
from wherry.runtime.model import ExitStatus
from wherry.snapshots.model import ACTIVE

LOST_CODE = 255
END_TIMEOUT = 10.0

_log = logging.getLogger(__name__)


async def restore(context: Context) -> None:
    """Bring records, processes and files together; call once, after ``Registry.load`` and before the API opens."""
    for directory in context.settings.roots():
        directory.mkdir(mode=0o700, exist_ok=True)
    for entry in context.registry:
        _refer_to_volumes(context, entry)
    await _end_strangers(context)
    found = await _adopt_all(context)
    live = {key for key, what in found.items() if isinstance(what, Shim)}
    sandboxes = await context.networks.restore(live)
    for key in found.keys() - live:
        await context.snapshots.release(key)  # before any of them is started again
    for entry in context.registry:
        try:
            await _settle(context, entry, found.get(entry.id), sandboxes.get(entry.id))
        except (WherryError, OSError):
            _log.exception("container %s could not be restored", entry.id)
    for entry in context.registry:
        if not entry.record.state.alive:
            await asyncio.to_thread(shared_memory.release, context.settings.directory(entry.id))
    await context.volumes.unmount_unused()
    await _remove_strangers(context)


async def _adopt_all(context: Context) -> dict[str, Shim | ExitStatus | None]:
    keys = [entry.id for entry in context.registry]
    found = await asyncio.gather(*(context.launcher.adopt(context.settings.bundle(key)) for key in keys))
    return dict(zip(keys, found, strict=True))


async def _settle(context: Context, entry: Entry, found: Shim | ExitStatus | None, sandbox: Sandbox | None) -> None:
    """One container's record after what was found of it."""
    state = entry.record.state
    if isinstance(found, Shim):
        await _go_on(context, entry, found, sandbox)
    elif isinstance(found, ExitStatus):
        await _has_ended(context, entry, found)
    elif state.alive:
        await _has_ended(context, entry, ExitStatus(code=LOST_CODE, finished_at=now_ns()))
    elif state.status in (Status.REMOVING, Status.DEAD):
        # The mark is stored only where volumes go with the container.
        marked = state.status is Status.REMOVING
        await removal.remove_ended(context, entry, volumes=marked or entry.record.host_config.auto_remove)
    elif entry.record.host_config.auto_remove and state.status is Status.EXITED:
        await removal.remove_ended(context, entry, volumes=True)
    elif state.status is Status.RESTARTING or _starts_with_daemon(entry):
        await _start_again(context, entry)


async def _go_on(context: Context, entry: Entry, shim: Shim, sandbox: Sandbox | None) -> None:
    record = entry.record
    if sandbox is not None and record.sandbox is None:
        record = msgspec.structs.replace(record, sandbox=sandbox_record(sandbox))
    frozen = await asyncio.to_thread(context.cgroups.frozen, cgroup(context, record))
    if record.held:
        # A commit was under way when the daemon died.
        if frozen:
            await foreign.thaw(context, record, cgroup(context, record))
            frozen = False
        record = msgspec.structs.replace(record, held=False)
    status = Status.PAUSED if frozen else Status.RUNNING
    if record.state.status is not status or record.state.pid != shim.pid or entry.record.held:
        # The daemon died between the launch, or the freezing, and the record of it.
        started = record.state.started_at if record.state.alive else now_ns()
        state = State(status=status, pid=shim.pid, started_at=started)
        await context.registry.update(entry, record.with_state(state))
    for mount in record.mounts:
        if mount.type == "volume":
            context.volumes.remounted(mount.volume, record.id)
    entry.shim = shim
    await entry.hub.bind(shim)
    entry.monitor = ending.watch(context, entry, shim, starting.run)


async def _has_ended(context: Context, entry: Entry, status: ExitStatus) -> None:
    record = entry.record
    if not record.state.alive:
        state = msgspec.structs.replace(record.state, status=Status.RUNNING, started_at=status.finished_at)
        entry.record = record.with_state(state)
    entry.stop_requested = record.manually_stopped
    async with entry.lock:
        await ending.ended(context, entry, status, starting.run)


def _starts_with_daemon(entry: Entry) -> bool:
    """Docker starts again what its policy asks for, ``always`` even when it was stopped by hand."""
    record = entry.record
    if record.state.status is not Status.EXITED or not record.state.started_at:
        return False
    stopped = record.manually_stopped and record.host_config.restart_policy.name != "always"
    return restart_policy.wanted(record, record.state.exit_code, stopped=stopped)


async def _start_again(context: Context, entry: Entry) -> None:
    state = msgspec.structs.replace(entry.record.state, status=Status.RESTARTING)
    await context.registry.update(entry, entry.record.with_state(state))
    entry.restart_timer = asyncio.create_task(restart_policy.restart_after(context, entry, 0, starting.run))


def _refer_to_volumes(context: Context, entry: Entry) -> None:
    for mount in entry.record.mounts:
        if mount.type == "volume":
            with contextlib.suppress(NotFound):
                context.volumes.acquire(mount.volume, entry.id)


async def _end_strangers(context: Context) -> None:
    """Processes of containers that no record knows."""
    for bundle in _directories(context.settings.exec_root / "containers"):
        if bundle.name not in context.registry:
            await end_stranger(context, bundle)


async def end_stranger(context: Context, bundle: Path) -> None:
    """End what runs in a bundle of no container, if anything does, and remove the bundle. Raises OSError."""
    found = await context.launcher.adopt(bundle)
    if isinstance(found, Shim):
        _log.warning("ending container %s, of which there is no record", bundle.name)
        await found.signal(signal.SIGKILL)
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await found.wait()
        except TimeoutError:
            _log.error("container %s does not end", bundle.name)
            return
    await asyncio.to_thread(remove_tree, str(bundle))


async def _remove_strangers(context: Context) -> None:
    """Directories, snapshots and control groups without a container."""
    for directory in _directories(context.settings.data_root):
        if directory.name not in context.registry:
            await asyncio.to_thread(shared_memory.release, directory)
            await asyncio.to_thread(remove_tree, str(directory))
    for key in [row.key for row in context.snapshots.rows() if row.kind == ACTIVE]:
        if key not in context.registry:
            await context.snapshots.remove(key)
    live = {entry.id for entry in context.registry if entry.record.state.alive}
    for path in context.cgroups.children(context.settings.cgroup_parent):
        if os.path.basename(path) not in live:
            try:
                await asyncio.to_thread(context.cgroups.kill, path)
                await asyncio.to_thread(context.cgroups.remove, path)
            except CgroupError as error:
                _log.warning("%s", error)


def _directories(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()] if root.is_dir() else []
