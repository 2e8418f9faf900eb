"""What runs: processes, control groups and mounts against the containers that are recorded as running.

A container whose lock is held is being started, stopped or removed; it is left out, whatever state that is in.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from wherry.engine.containers.context import Context
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.restore import end_stranger
from wherry.engine.containers.stop import cgroup
from wherry.engine.system.fsck.finding import Finding
from wherry.linux.mounts import MNT_DETACH, UMOUNT_NOFOLLOW, unmount


class Processes:
    """Bundles, shims and control groups."""

    name = "processes"
    steady = False

    def __init__(self, context: Context) -> None:
        self._context = context

    async def look(self) -> list[Finding]:
        context = self._context
        bundles = await asyncio.to_thread(_directories, context.settings.exec_root / "containers")
        groups = await asyncio.to_thread(context.cgroups.children, context.settings.cgroup_parent)
        settled = list(_settled(context))
        # One whose lock is held comes or goes; what it has is its own.
        owned = {entry.id for entry in context.registry if entry.busy}
        found = [self._bundle(bundle) for bundle in bundles if bundle.name not in owned]
        found += [self._group(path) for path in groups if os.path.basename(path) not in owned]
        present = {os.path.basename(path) for path in groups}
        for entry in settled:
            if not _runs(entry.record.state.pid):
                found.append(_dead(entry))
            elif self._ours(entry) and entry.id not in present:
                found.append(_groupless(entry))
        return found

    def _ours(self, entry: Entry) -> bool:
        parent = self._context.settings.cgroup_parent
        return bool(parent) and os.path.dirname(cgroup(self._context, entry.record)) == parent

    def _bundle(self, bundle: Path) -> Finding:
        return Finding(
            kind="bundle-orphan",
            subject=bundle.name,
            problem="a runtime directory, and no such container runs",
            remedy="its process, if there is one, is ended, and it is deleted",
            mend=partial(end_stranger, self._context, bundle),
        )

    def _group(self, path: str) -> Finding:
        async def mend() -> None:
            await asyncio.to_thread(self._context.cgroups.kill, path)
            await asyncio.to_thread(self._context.cgroups.remove, path)

        return Finding(
            kind="cgroup-orphan",
            subject=path,
            problem="a control group, and no such container runs",
            remedy="its processes are killed, and it is removed",
            mend=mend,
        )


class Mounts:
    """Mounts below the directories of containers and snapshots."""

    name = "mounts"
    steady = False

    def __init__(self, context: Context, data_root: Path) -> None:
        self._context = context
        self._snapshots = str(data_root / "snapshots")

    async def look(self) -> list[Finding]:
        settings = self._context.settings
        owned = {entry.id for entry in self._context.registry if entry.busy}
        # A driver may mount the root of a container in its snapshot.
        roots = {str(row.number) for row in self._context.snapshots.rows() if row.key in owned}
        found = []
        for point in await asyncio.to_thread(_mount_points):
            owner = _below(point, str(settings.data_root)) or _below(point, str(settings.exec_root / "containers"))
            number = _below(point, self._snapshots)
            if (owner and owner not in owned) or (number and number not in roots):
                found.append(_mount(point))
        return found


def _mount(point: str) -> Finding:
    return Finding(
        kind="mount-orphan",
        subject=point,
        problem="is mounted, and no container that runs needs it",
        remedy="is unmounted",
        mend=partial(asyncio.to_thread, unmount, point, MNT_DETACH | UMOUNT_NOFOLLOW),
    )


def _settled(context: Context) -> Iterator[Entry]:
    return (entry for entry in context.registry if entry.record.state.alive and not entry.lock.locked())


def _dead(entry: Entry) -> Finding:
    return Finding(
        kind="process-missing",
        subject=entry.id,
        problem=f"container {entry.name} is recorded as running, and its process {entry.record.state.pid} is gone",
        remedy="restart the daemon, or remove the container by force",
    )


def _groupless(entry: Entry) -> Finding:
    return Finding(
        kind="cgroup-missing",
        subject=entry.id,
        problem=f"container {entry.name} runs, and its control group is gone: its limits do not hold",
        remedy="restart the container",
    )


def _runs(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _below(path: str, root: str) -> str:
    """The first name of ``path`` below ``root``; empty when it is not below it."""
    return path[len(root) + 1 :].partition("/")[0] if path.startswith(f"{root}/") else ""


def _directories(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        points = [line.split(" ")[4] for line in table]
    return [point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\") for point in points]
