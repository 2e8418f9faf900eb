"""Layers and the directories of snapshots: records against directories, and directories against what was unpacked."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from functools import partial

import msgspec

from wherry.diff.compare import layer_of
from wherry.diff.source import Source
from wherry.diff.tar import DIRECTORY, REGULAR, TarReader
from wherry.diff.whiteouts import PREFIX
from wherry.engine.containers.registry import Registry
from wherry.engine.system.fsck.finding import Finding, Mend
from wherry.engine.system.fsck.owners import Owners
from wherry.engine.system.fsck.unpacking import put_in_place, unpacked_again
from wherry.lib.errors import Conflict, WherryError
from wherry.lib.ids import short
from wherry.linux.trees import usage
from wherry.oci.digest import Digest
from wherry.snapshots.model import COMMITTED, SnapshotRow
from wherry.snapshots.snapshotter import EXTRACT
from wherry.state.image import Layer
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import interruptible


class LayerRepair:
    """How a damaged layer is mended: from its blob where that is whole, else by the next pull."""

    def __init__(self, store: ImageStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def finding(self, kind: str, row: SnapshotRow, problem: str, owners: Owners) -> Finding:
        """A damaged layer, with what a repair can do."""
        layer, owner = owners.layers.get(row.key), owners.of_layer(row.key)
        problem = f"snapshot {row.number} {problem}, in {owner}"
        if layer is not None and self._store.has_blob(Digest(layer.digest)):
            return Finding(
                kind=kind,
                subject=row.key,
                problem=problem,
                remedy="is unpacked again from its blob",
                mend=self._from_blob(layer, row.parent),
            )
        missing = kind == "layer-missing"
        return Finding(
            kind=kind,
            subject=row.key,
            problem=problem,
            remedy=f"pull or load {owner} again" if missing else f"is thrown away; then pull or load {owner} again",
            mend=None if missing else self._condemn(row.key),
        )

    def _from_blob(self, layer: Layer, parent: str | None) -> Mend:
        async def mend() -> None:
            await put_in_place(self._store, layer, parent, busy=self._busy(layer.chain_id))

        return mend

    def _condemn(self, key: str) -> Mend:
        async def mend() -> None:
            if busy := self._busy(key):
                raise Conflict(f"container {busy} runs on it: stop that first")
            await self._store.snapshots.condemn(key)

        return mend

    def _busy(self, chain_id: str) -> str:
        """The name of a running container that stands on the layer; empty where none does."""
        for entry in self._registry:
            if entry.busy and any(row.key == chain_id for row in self._store.snapshots.chain(entry.id)):
                return entry.name
        return ""


class Layers:
    """Records and directories of snapshots, in both directions."""

    name = "layers"
    steady = False

    def __init__(self, store: ImageStore, repair: LayerRepair) -> None:
        self._store = store
        self._repair = repair

    async def look(self) -> list[Finding]:
        snapshots = self._store.snapshots
        strays = await asyncio.to_thread(snapshots.unrecorded)
        rows = {row.key: row for row in snapshots.rows()}
        owners = Owners(self._store.images)
        found = []
        for row in sorted(rows.values(), key=lambda row: row.number):
            if row.parent is not None and row.parent not in rows:
                found.append(_parentless(row, owners))
            if not snapshots.intact(row.key):
                if row.kind == COMMITTED:
                    found.append(self._repair.finding("layer-missing", row, "has no directory", owners))
                elif row.key.startswith(EXTRACT):
                    found.append(self._half(row))
        return found + [self._stray(name) for name in strays]

    def _half(self, row: SnapshotRow) -> Finding:
        return Finding(
            kind="snapshot-stale",
            subject=row.key,
            problem="the record of a layer whose unpacking was given up",
            remedy="is forgotten",
            mend=partial(self._store.snapshots.remove, row.key),
        )

    def _stray(self, name: str) -> Finding:
        return Finding(
            kind="snapshot-orphan",
            subject=name,
            problem="a directory below snapshots that no record knows",
            remedy="is deleted",
            mend=partial(asyncio.to_thread, self._store.snapshots.remove_unrecorded, name),
        )


class LayerSizes:
    """The bytes of every layer's files against what was unpacked: quick, and notices what was cut short or deleted."""

    name = "layer sizes"
    steady = True

    def __init__(self, store: ImageStore, repair: LayerRepair) -> None:
        self._store = store
        self._repair = repair

    async def look(self) -> list[Finding]:
        snapshots, found = self._store.snapshots, []
        owners = Owners(self._store.images)
        for row in snapshots.rows():
            if row.kind != COMMITTED:
                continue
            try:
                size = await asyncio.to_thread(usage, snapshots.upper(row.key))
            except (OSError, WherryError):
                continue  # gone meanwhile, or missing, which the check of the layers says
            if size != row.size and row in snapshots.rows():
                found.append(
                    self._repair.finding("layer-size", row, f"holds {size} bytes instead of {row.size}", owners)
                )
        return found


class LayerContents:
    """Every layer that can be unpacked again, compared with what there is: names, modes, owners, times and bytes."""

    name = "layer contents"
    steady = True

    def __init__(self, store: ImageStore, repair: LayerRepair) -> None:
        self._store = store
        self._repair = repair

    async def look(self) -> list[Finding]:
        snapshots, found = self._store.snapshots, []
        owners = Owners(self._store.images)
        for row in sorted(snapshots.rows(), key=lambda row: row.number):
            layer = owners.layers.get(row.key)
            if row.kind != COMMITTED or layer is None or not snapshots.intact(row.key):
                continue
            try:
                async with unpacked_again(self._store, layer, row.parent) as fresh:
                    should = await interruptible(partial(_tree_digest, fresh.directory))
                    there = await interruptible(partial(_tree_digest, snapshots.upper(row.key)))
            except (OSError, WherryError):
                continue  # without its blob, or with a damaged one, there is nothing to compare with
            if should != there and row in snapshots.rows():
                found.append(self._repair.finding("layer-damaged", row, "is not what its blob unpacks to", owners))
        return found


def _parentless(row: SnapshotRow, owners: Owners) -> Finding:
    owner = owners.of_layer(row.key)
    return Finding(
        kind="layer-parent",
        subject=row.key,
        problem=f"stands on layer {short(row.parent or '')}, of which there is no record",
        remedy=f"remove {owner} and pull or load it again",
    )


def _tree_digest(directory: str, stop: threading.Event) -> str:
    digest = hashlib.sha256()
    top = os.stat(directory)
    digest.update(f"{top.st_mode} {top.st_uid} {top.st_gid}".encode())
    pieces = layer_of(directory, stop.is_set)
    reader = TarReader(Source(lambda: next(pieces, b"")))
    for entry in reader:
        # A directory that the layer does not list, and a whiteout, have the time of their unpacking.
        timeless = entry.kind == DIRECTORY or PREFIX in entry.name
        same = msgspec.structs.replace(entry, mtime_ns=0) if timeless else entry
        digest.update(repr(same).encode("utf-8", "surrogateescape"))
        if entry.kind == REGULAR:
            for part in reader.data():
                digest.update(part)
    return digest.hexdigest()
