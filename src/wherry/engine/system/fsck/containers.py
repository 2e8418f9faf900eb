"""Containers: each record has its directory and its own layer, and there is nothing of containers that are not."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

from wherry.engine.containers import shared_memory
from wherry.engine.containers.context import Context
from wherry.engine.containers.registry import Entry
from wherry.engine.system.fsck.finding import Finding, Mend
from wherry.lib.errors import Conflict
from wherry.linux.trees import remove_tree
from wherry.snapshots.model import ACTIVE
from wherry.snapshots.snapshotter import EXTRACT


class ContainerFiles:
    """Records against directories and snapshots."""

    name = "containers"
    steady = False

    def __init__(self, context: Context) -> None:
        self._context = context

    async def look(self) -> list[Finding]:
        context = self._context
        directories = await asyncio.to_thread(_names, context.settings.data_root)
        snapshots = {row.key for row in context.snapshots.rows() if row.kind == ACTIVE}
        known = context.registry.known()
        found = []
        for entry in context.registry:
            if entry.id not in directories:
                found.append(self._directory(entry))
            if entry.id not in snapshots:
                found.append(self._layer(entry, "there is no record of its own layer", self._prepared(entry)))
            elif not context.snapshots.intact(entry.id):
                found.append(self._layer(entry, "its own layer has no directory", self._renewed(entry)))
        found += [self._stray(name) for name in sorted(directories - known)]
        return found + [self._unowned(key) for key in sorted(snapshots - known) if not key.startswith(EXTRACT)]

    def _directory(self, entry: Entry) -> Finding:
        async def mend() -> None:
            await asyncio.to_thread(os.mkdir, self._context.settings.directory(entry.id), 0o710)

        return Finding(
            kind="container-directory",
            subject=entry.id,
            problem=f"container {entry.name} has no directory: its log is lost",
            remedy="gets an empty one",
            mend=mend,
        )

    def _layer(self, entry: Entry, problem: str, mend: Mend) -> Finding:
        return Finding(
            kind="container-layer",
            subject=entry.id,
            problem=f"container {entry.name}: {problem}; what it wrote is lost",
            remedy="gets an empty one",
            mend=mend,
        )

    def _prepared(self, entry: Entry) -> Mend:
        async def mend() -> None:
            async with entry.lock:
                _refuse_alive(entry)
                image = self._context.images.get(entry.record.image_id)
                if image is None:
                    raise Conflict("its image is not there any more: remove the container")
                await self._context.snapshots.prepare(entry.id, image.snapshot_key)

        return mend

    def _renewed(self, entry: Entry) -> Mend:
        async def mend() -> None:
            async with entry.lock:
                _refuse_alive(entry)
                await self._context.snapshots.renew(entry.id)

        return mend

    def _stray(self, name: str) -> Finding:
        directory = self._context.settings.directory(name)

        async def mend() -> None:
            await asyncio.to_thread(shared_memory.release, directory)
            await asyncio.to_thread(remove_tree, str(directory))

        return Finding(
            kind="container-orphan",
            subject=name,
            problem="a container's directory, and there is no such container",
            remedy="is deleted",
            mend=mend,
        )

    def _unowned(self, key: str) -> Finding:
        return Finding(
            kind="snapshot-unowned",
            subject=key,
            problem="a container's own layer, and there is no such container",
            remedy="is deleted",
            mend=partial(self._context.snapshots.remove, key),
        )


def _refuse_alive(entry: Entry) -> None:
    if entry.record.state.alive:
        raise Conflict(f"container {entry.name} is running: stop it first")


def _names(root: Path) -> set[str]:
    """The directories below ``root``."""
    with os.scandir(root) as entries:
        return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
