"""The snapshotter: prepare, commit, remove, and what a container mounts.

``prepare`` and ``remove`` are on the path of ``docker run`` and take one transaction each: directories are made ahead
(``spares``), the files of what was removed go in a thread of this object's own, and what a crash leaves of either goes
at start-up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wherry.lib.errors import Internal, NotFound
from wherry.linux.inode_flags import spread_below
from wherry.linux.trees import RemovalStopped, remove_tree, usage
from wherry.snapshots.drivers import Drivers, IdMaps, select
from wherry.snapshots.drivers.fuse import FuseDriver
from wherry.snapshots.drivers.overlay import OverlayDriver
from wherry.snapshots.model import ACTIVE, COMMITTED, Also, NewLayer, Overlay, Records, SnapshotRow
from wherry.snapshots.skeleton import build_skeleton
from wherry.snapshots.spares import Spares, make_directories

logger = logging.getLogger(__name__)

EXTRACT = "extract-"
"""Prefix of the key of a layer being unpacked; none survives a start."""
SKELETON = 0
REMOVAL_GRACE = 5.0
"""Seconds that the end of the daemon waits for files to go: a large layer may take a minute."""


class Snapshots:
    """The snapshots of one daemon, below ``root`` (made 0700 by ``recover``)."""

    def __init__(self, root: Path, records: Records, driver: str = "") -> None:
        """``driver`` is what the daemon was told to use; empty is whatever works."""
        self._root = root
        self._asked = driver
        self._drivers = Drivers(OverlayDriver())
        self._records = records
        self._spares = Spares(root, 1)
        self._passing: set[str] = set()
        """Directories between a spare and a record, or between a record and their end."""
        self._closing = threading.Event()
        self._removal = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot-removal")

    def recover(self) -> None:
        """Bring directories and records together; call once, before anything else.

        Raises OSError, and Unavailable where the storage driver does not work.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(self._root, 0o700)
        spread_below(str(self._root))
        self._drivers = Drivers(select(self._asked, self._root))
        build_skeleton(self._root / str(SKELETON) / "fs")
        rows = self._records.rows()
        self._records.forget_now([row.key for row in rows if row.key.startswith(EXTRACT)])
        kept = {row.number: row for row in rows if not row.key.startswith(EXTRACT)}
        names = os.listdir(self._root)
        for entry in names:
            if not entry.isdecimal() or (int(entry) not in kept and int(entry) != SKELETON):
                self._passing.add(entry)
                self._removal.submit(self._delete, entry)
        for row in kept.values():
            if not os.path.isdir(self.directory(row.number)):
                if row.kind == COMMITTED:
                    logger.error("snapshot %s (layer %s) is missing", row.number, row.key)
                else:
                    make_directories(self._root, row.number)
                    self._drivers.chosen.claim(self.directory(row.number))
        self._spares.close()
        self._spares = Spares(
            self._root, max([SKELETON, *kept, *(int(name) for name in names if name.isdecimal())]) + 1
        )
        self._spares.fill()

    async def close(self) -> None:
        """Finish the removals under way, or leave long ones to the next start, and remove what was made ahead."""
        if self._closing.is_set():
            return
        await asyncio.to_thread(self._spares.close)
        last = asyncio.wrap_future(self._removal.submit(lambda: None))
        await asyncio.wait([last], timeout=REMOVAL_GRACE)
        self._closing.set()
        await asyncio.to_thread(self._removal.shutdown, wait=True, cancel_futures=True)

    # --- active snapshots -----------------------------------------------------------------------------------------

    async def prepare(self, key: str, parent: str | None, also: Also | None = None) -> Overlay:
        """Make the writable snapshot ``key`` on top of ``parent`` (a chain id, or None for an image without layers).

        ``also`` is done in the same transaction. Raises NotFound for an unknown parent, Conflict for a known key,
        Internal when there is no space left.
        """
        lower = self._lower(parent)
        number = await self._begin(key, parent, also, lower)
        return self._drivers.chosen.root(self.directory(number), lower)

    async def _begin(
        self, key: str, parent: str | None, also: Also | None = None, lower: tuple[str, ...] | None = None
    ) -> int:
        """A new directory, filled by the driver for a container (which stands on ``lower``), and then its record."""
        with self._explained():
            number = await self._spares.take()
        self._passing.add(str(number))
        try:
            if lower is not None:
                await self._fill(number, lower)
            await self._records.insert(SnapshotRow(number=number, key=key, parent=parent, kind=ACTIVE), also)
        except BaseException:
            self._discard(number)
            raise
        self._passing.discard(str(number))
        return number

    async def _fill(self, number: int, lower: tuple[str, ...]) -> None:
        with self._explained():
            await self._drivers.chosen.fill(self.directory(number), lower)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """An OSError becomes Internal that says where."""
        try:
            yield
        except OSError as error:
            raise Internal(f"snapshot below {self._root}: {error.strerror or error}") from error

    async def ready(self, key: str, maps: IdMaps | None = None) -> Overlay:
        """``overlay``, there to be mounted by the runtime or, layer by layer, read; ``release`` it afterwards.

        ``maps`` are the ids of the container's user namespace, if it has one. Raises NotFound, Unavailable, Internal.
        """
        row = self._row(key)
        own, lower = self.directory(row.number), self._lower(row.parent)
        driver = self._drivers.of(own)
        with self._explained():
            await driver.ready(own, lower, maps)
        return driver.root(own, lower)

    async def release(self, key: str) -> None:
        """The container has ended, or the reader has enough. Unknown is released already."""
        row = self._records.get(key)
        if row is not None and row.kind == ACTIVE:
            own = self.directory(row.number)
            if isinstance(driver := self._drivers.of(own), FuseDriver):
                await asyncio.to_thread(driver.release, own)

    @contextlib.asynccontextmanager
    async def changes(self, key: str) -> AsyncIterator[str]:
        """A directory with what the active snapshot ``key`` changed, in overlayfs' form: for ``diff`` and ``commit``.

        Raises NotFound, Internal.
        """
        row = self._row(key)
        own = self.directory(row.number)
        changes = self._drivers.of(own).changes(own, self._lower(row.parent))
        with self._explained():
            directory = await asyncio.to_thread(changes.__enter__)
        try:
            yield directory
        finally:
            await asyncio.to_thread(changes.__exit__, None, None, None)

    @property
    def driver(self) -> str:
        """The storage driver that new containers get."""
        return self._drivers.chosen.name

    def driver_of(self, key: str) -> str:
        """The storage driver of one container. Raises NotFound."""
        return self._drivers.of(self.directory(self._row(key).number)).name

    def overlay(self, key: str) -> Overlay:
        """What to mount for the active snapshot ``key``. Raises NotFound."""
        row = self._row(key)
        if row.kind != ACTIVE:
            raise Internal(f"snapshot {key} is a layer, which is not mounted by itself")
        own = self.directory(row.number)
        return self._drivers.of(own).root(own, self._lower(row.parent))

    async def remove(self, key: str, also: Also | None = None) -> None:
        """Forget the snapshot ``key`` and delete its files; unknown is done already (``also`` is done all the same).

        The files go soon afterwards. Raises Conflict while other snapshots stand on it.
        """
        row = await self._records.remove(key, also)
        if row is not None:
            self._discard(row.number)

    async def usage(self, key: str) -> int:
        """Bytes in the files of this snapshot alone. Raises NotFound."""
        row = self._row(key)
        if row.kind == COMMITTED:
            return row.size
        async with self.changes(key) as directory:
            return await asyncio.to_thread(usage, directory)

    # --- committed snapshots --------------------------------------------------------------------------------------

    async def extract(self) -> tuple[str, str]:
        """Begin a layer: its key for now, and the directory to fill. Ends with ``commit`` or ``abandon``."""
        key = EXTRACT + secrets.token_hex(8)
        await self._begin(key, None)
        return key, self.upper(key)

    async def abandon(self, key: str) -> None:
        """Give up a layer that was begun. The files go first: the disk may be full, and the record needs space."""
        row = self._records.get(key)
        if row is None:
            return
        await asyncio.to_thread(self._delete, str(row.number))
        try:
            await self._records.remove(key, None)
        except (Internal, sqlite3.Error) as error:
            logger.warning("the record of snapshot %s stays until the next start: %s", row.number, error)

    async def commit(self, layers: Sequence[NewLayer], also: Also | None = None) -> None:
        """Turn unpacked layers into committed ones, bottom first, in one transaction. Their files must be on disk.

        A layer that somebody else has committed meanwhile is dropped.
        """
        await self._records.commit(layers, self._damaged(layers), also)
        for layer in layers:
            if self.exists(layer.key):
                await self.abandon(layer.key)

    def exists(self, key: str) -> bool:
        """Whether there is a snapshot ``key``."""
        return self._records.get(key) is not None

    def rows(self) -> list[SnapshotRow]:
        """Every snapshot there is."""
        return self._records.rows()

    def intact(self, key: str) -> bool:
        """Whether there is a snapshot ``key``, and its directory."""
        row = self._records.get(key)
        return row is not None and os.path.isdir(f"{self.directory(row.number)}/fs")

    def chain(self, key: str | None) -> list[SnapshotRow]:
        """The snapshot ``key`` and all below it, top first; empty for None."""
        return self._records.chain(key) if key else []

    def upper(self, key: str) -> str:
        """The directory that holds this snapshot's own files. Raises NotFound."""
        return f"{self.directory(self._row(key).number)}/fs"

    def lowers(self, key: str | None) -> tuple[str, ...]:
        """The directories of ``key`` and all below it, top first, without the skeleton."""
        return tuple(f"{self.directory(row.number)}/fs" for row in self.chain(key))

    def below(self, key: str) -> tuple[str, ...]:
        """What the active snapshot ``key`` stands on, top first, with the skeleton. Raises NotFound."""
        return self._lower(self._row(key).parent)

    def discard(self, numbers: list[int]) -> None:
        """Delete the files of snapshots whose records are gone."""
        for number in numbers:
            self._discard(number)

    # --- for a check of the whole ----------------------------------------------------------------------------------

    def unrecorded(self) -> list[str]:
        """What lies below the root and belongs to no snapshot, nor to one that comes or goes. Blocking."""
        found = os.listdir(self._root)
        spares = {str(number) for number in self._spares.numbers()}
        recorded = {str(row.number) for row in self._records.rows()}
        known = {str(SKELETON), *self._passing, *spares, *recorded}
        return [name for name in found if name not in known]

    def remove_unrecorded(self, name: str) -> None:
        """Delete one of these. Blocking."""
        self._delete(name)

    async def condemn(self, key: str) -> None:
        """Take the files of a damaged layer away: it counts as missing, and the next load or pull unpacks it again.

        No container that runs may stand on it. Raises NotFound, OSError.
        """
        number = self._row(key).number
        aside = f"condemned-{number}-{secrets.token_hex(4)}"
        self._passing.add(aside)
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(os.rename, self.directory(number), f"{self._root}/{aside}")
        await asyncio.to_thread(self._delete, aside)

    async def renew(self, key: str) -> None:
        """Make the directory of an active snapshot again, as a new one has it. Raises NotFound, Internal, OSError."""
        row = self._row(key)
        await asyncio.to_thread(make_directories, self._root, row.number)
        await self._fill(row.number, self._lower(row.parent))

    # --- directories ----------------------------------------------------------------------------------------------

    def directory(self, number: int) -> str:
        """Where snapshot ``number`` lives."""
        return f"{self._root}/{number}"

    def _row(self, key: str) -> SnapshotRow:
        row = self._records.get(key)
        if row is None:
            raise NotFound(f"no such snapshot: {key}")
        return row

    def _damaged(self, layers: Sequence[NewLayer]) -> set[str]:
        return {layer.chain_id for layer in layers if self.exists(layer.chain_id) and not self.intact(layer.chain_id)}

    def _lower(self, parent: str | None) -> tuple[str, ...]:
        """What lies below an active snapshot, top first: its layers, and the skeleton below all."""
        return (*self.lowers(parent), f"{self.directory(SKELETON)}/fs")

    def _discard(self, number: int) -> None:
        self._passing.add(str(number))
        self._removal.submit(self._delete, str(number))

    def _delete(self, name: str) -> None:
        path = f"{self._root}/{name}"
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                self._drivers.of(path).release(path)
                remove_tree(path, self._closing.is_set)
            else:
                os.unlink(path)
        except (OSError, RemovalStopped) as error:
            logger.warning("snapshot %s is not removed, the next start tries again: %s", path, error)
        finally:
            self._passing.discard(name)
