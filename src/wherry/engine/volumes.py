"""The use cases of volumes: create, inspect, list, remove, prune, and what containers do with them.

Who uses a volume is known in memory only. A container refers to its volumes from when it is made until it is removed;
at start the daemon calls ``acquire`` again for every container that it finds. So no stale count can keep a volume.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from wherry.lib import ids
from wherry.lib.clock import now_ns, rfc3339
from wherry.lib.errors import Conflict, Internal, InvalidArgument, NotFound
from wherry.lib.filters import Filters
from wherry.lib.timespan import labels_match
from wherry.state.database import Database
from wherry.state.volume import VolumeRecord, VolumeTable
from wherry.volumes.drivers.local import LocalDriver
from wherry.volumes.rules import ANONYMOUS_LABEL, check_name, check_options
from wherry.wire.volume import Volume, VolumeListResponse, VolumesPruneReport, VolumeUsage

LIST_FILTERS = ("dangling", "driver", "label", "name")
PRUNE_FILTERS = ("all", "label", "label!")

_log = logging.getLogger(__name__)


class EventSink(Protocol):
    """Where it is told what happened."""

    def emit(self, type: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:  # noqa: A002
        """Tell that ``action`` happened to ``actor``; neither waits nor fails."""


class Volumes:
    """The volumes of one daemon, kept below ``root``. Belongs to one event loop; ``recover`` comes first."""

    def __init__(self, database: Database, root: Path, events: EventSink, owner: tuple[int, int] = (0, 0)) -> None:
        self._table = VolumeTable(database)
        self._driver = LocalDriver(root, owner)
        self._events = events
        self._users: dict[str, dict[str, None]] = {}
        self._mounted: dict[str, set[str]] = {}
        self._leaving: set[str] = set()
        self._purging: set[str] = set()
        self._changing = asyncio.Lock()
        self._pruning = False

    async def recover(self) -> None:
        """Bring directories and records together after a crash. Call it before the API opens. Raises OSError."""
        found, removed = await asyncio.to_thread(self._driver.recover)
        known = {record.name for record in self._table.all()}
        for name in sorted(known - found):
            if name in removed:
                await self._table.delete(name)
            else:
                _log.warning("the data of volume %s is gone; it is empty now", name)
                await asyncio.to_thread(self._driver.create, name)
        for name in sorted(found - known):
            await self._adopt(name)

    async def create(
        self,
        name: str = "",
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        user: str = "",
    ) -> Volume:
        """Make a volume; one of that name that is there already is given back as it is. Without a name: anonymous.

        ``user`` is a container that refers to it from now on, so that no prune can come between. Raises
        InvalidArgument, NotFound (no such driver) or NotBuilt in Docker's words.
        """
        if not name:
            name, labels = ids.new_id(), {**(labels or {}), ANONYMOUS_LABEL: ""}
        if driver not in ("", self._driver.name):
            raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
        async with self._changing:
            record = self._table.get(name)
            if record is None:
                record = await self._make(name, options, labels)
            if user:
                self.acquire(name, user)
        return self._wire(record)

    def get(self, name: str) -> Volume:
        """One volume. Raises NotFound."""
        return self._wire(self._record(name))

    def path(self, name: str) -> Path:
        """Where the volume's data is on the host; it is there once the volume is made and, with options, mounted."""
        return self._driver.path(name)

    def list_volumes(self, filters: Filters | None = None) -> VolumeListResponse:
        """Every volume that ``filters`` let through, by name. Raises InvalidArgument."""
        filters = filters or Filters()
        filters.check(LIST_FILTERS)
        return VolumeListResponse(volumes=[self._wire(record) for record in self._matching(filters)])

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume and its data. Raises Conflict while a container refers to it, NotFound unless ``force``."""
        async with self._changing:
            if force and self._table.get(name) is None:
                return
            record = self._record(name)
            if users := self.users(name):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            with self._removal(name):
                hidden = await self._take_away(record)
        self._events.emit("volume", "destroy", name, {"driver": record.driver})
        self._purging.add(hidden.name)
        try:
            await asyncio.to_thread(self._driver.purge, hidden)
        finally:
            self._purging.discard(hidden.name)

    async def prune(self, filters: Filters | None = None) -> VolumesPruneReport:
        """Remove the volumes that nobody uses: anonymous ones, with the filter ``all=true`` named ones as well.

        Volumes with options stay: their data is elsewhere. Raises Conflict while another prune runs.
        """
        filters = filters or Filters()
        filters.check(PRUNE_FILTERS)
        everything = _prunes_all(filters)
        if self._pruning:
            raise Conflict("a prune operation is already running")
        self._pruning = True
        try:
            report = await self._prune(
                record for record in self._matching(filters) if everything or ANONYMOUS_LABEL in (record.labels or {})
            )
        finally:
            self._pruning = False
        self._events.emit("volume", "prune", "", {"reclaimed": str(report.space_reclaimed)})
        return report

    def acquire(self, name: str, container_id: str) -> None:
        """Note that a container refers to the volume; again is the same. Raises NotFound."""
        self._record(name)
        self._users.setdefault(name, {})[container_id] = None

    def release(self, container_id: str) -> list[str]:
        """Forget that a container refers to any volume; the volumes that it referred to."""
        released = [name for name, users in self._users.items() if container_id in users]
        for name in released:
            del self._users[name][container_id]
            if not self._users[name]:
                del self._users[name]
        return released

    def users(self, name: str) -> list[str]:
        """The containers that refer to the volume, first come first."""
        return list(self._users.get(name, ()))

    async def mount(
        self,
        name: str,
        container_id: str,
        *,
        destination: str,
        writable: bool = True,
        propagation: str = "",
    ) -> Path:
        """Make the volume's data ready for a container that starts, and say where it is.

        Raises NotFound, or Internal when what the volume's options name cannot be mounted.
        """
        record = self._record(name)
        if record.options:
            async with self._changing:
                await asyncio.to_thread(self._driver.mount, name, record.options)
                self.remounted(name, container_id)
        attributes = {
            "container": container_id,
            "destination": destination,
            "driver": record.driver,
            "propagation": propagation,
            "read/write": str(writable).lower(),
        }
        self._events.emit("volume", "mount", name, attributes)
        return self.path(name)

    def remounted(self, name: str, container_id: str) -> None:
        """Note that a running container has the volume mounted: at start, for each that was found alive."""
        self._mounted.setdefault(name, set()).add(container_id)

    async def unmount(self, name: str, container_id: str) -> None:
        """Undo ``mount`` when the container has ended. What cannot be unmounted is said in the log."""
        record = self._table.get(name)
        driver = record.driver if record is not None else self._driver.name
        if record is not None and record.options:
            async with self._changing:
                self._mounted.get(name, set()).discard(container_id)
                await self._unmount_unused(name)
        self._events.emit("volume", "unmount", name, {"container": container_id, "driver": driver})

    async def unmount_unused(self) -> None:
        """Unmount what no running container has: at start, after ``remounted`` was called for each."""
        async with self._changing:
            for record in self._table.all():
                if record.options:
                    await self._unmount_unused(record.name)

    async def usage(self) -> list[Volume]:
        """Every volume that keeps its data here, with its size and how many containers refer to it."""
        volumes = []
        for record in self._table.all():
            if not record.options:
                size = await asyncio.to_thread(self._driver.usage, record.name)
                usage = VolumeUsage(size=size, ref_count=len(self.users(record.name)))
                volumes.append(msgspec.structs.replace(self._wire(record), usage_data=usage))
        return volumes

    async def differences(self) -> tuple[set[str], set[str], set[str]]:
        """For a check: volumes without a directory, directories without a volume, removed data not deleted yet."""
        async with self._changing:
            found, hidden = await asyncio.to_thread(self._driver.present)
            known = {record.name for record in self._table.all()}
        return known - found, found - known, hidden - self._purging

    async def remake(self, name: str) -> None:
        """Give a volume whose directory is gone an empty one. Raises OSError."""
        async with self._changing:
            await asyncio.to_thread(self._driver.create, name)

    async def adopt(self, name: str) -> None:
        """Know a volume again whose record was lost; an empty one is removed. Raises Conflict for what is none."""
        async with self._changing:
            if self._table.get(name) is None:
                await self._adopt(name)
            if self._table.get(name) is None and await asyncio.to_thread(self._driver.is_there, name):
                raise Conflict(f"{self.path(name)} is not there, so it is no volume of ours: move it away")

    async def purge_removed(self, hidden: str) -> None:
        """Delete the data of a removed volume, by the name that it has now."""
        await asyncio.to_thread(self._driver.purge_named, hidden)

    async def _make(
        self, name: str, options: Mapping[str, str] | None, labels: Mapping[str, str] | None
    ) -> VolumeRecord:
        check_name(name)
        check_options(name, options or {})
        record = VolumeRecord(
            name=name,
            driver=self._driver.name,
            created_at=now_ns(),
            labels=dict(labels) if labels is not None else None,
            options=dict(options) if options is not None else None,
        )
        try:
            await asyncio.to_thread(self._driver.create, name)
        except OSError as error:
            raise Internal(f"create {name}: error while creating volume: {error}") from error
        await self._table.put(record)
        self._events.emit("volume", "create", name, {"driver": record.driver})
        return record

    async def _adopt(self, name: str) -> None:
        """A directory without a record: half made if it is blank, else a volume whose record was lost."""
        try:
            check_name(name)
        except InvalidArgument:
            return
        if await asyncio.to_thread(self._driver.is_blank, name):
            await asyncio.to_thread(lambda: self._driver.purge(self._driver.hide(name)))
        elif self._driver.path(name).is_dir():
            _log.warning("volume %s was not known and has data: keeping it", name)
            labels = {ANONYMOUS_LABEL: ""} if ids.is_full(name) else None
            created = self._driver.created_at(name)
            await self._table.put(VolumeRecord(name=name, driver=self._driver.name, created_at=created, labels=labels))

    async def _take_away(self, record: VolumeRecord) -> Path:
        """Hide the data, then forget the record: the order that ``recover`` understands."""
        name = record.name
        try:
            if record.options:
                await asyncio.to_thread(self._driver.unmount, name)
            hidden = await asyncio.to_thread(self._driver.hide, name)
        except OSError as error:
            raise Internal(f"remove {name}: error removing volume path '{self.path(name)}': {error}") from error
        try:
            await self._table.delete(name)
        except BaseException:
            await asyncio.to_thread(self._driver.show, name, hidden)
            raise
        return hidden

    async def _prune(self, records: Iterable[VolumeRecord]) -> VolumesPruneReport:
        deleted: list[str] = []
        reclaimed = 0
        for record in list(records):
            if record.options or self.users(record.name):
                continue
            size = await asyncio.to_thread(self._driver.usage, record.name)
            try:
                await self.remove(record.name)
            except (Conflict, NotFound, Internal) as error:
                _log.info("not pruned: %s", error)
                continue
            deleted.append(record.name)
            reclaimed += max(0, size)
        return VolumesPruneReport(volumes_deleted=deleted, space_reclaimed=reclaimed)

    async def _unmount_unused(self, name: str) -> None:
        if self._mounted.get(name):
            return
        self._mounted.pop(name, None)
        try:
            await asyncio.to_thread(self._driver.unmount, name)
        except OSError as error:
            _log.warning("volume %s cannot be unmounted: %s", name, error)

    @contextlib.contextmanager
    def _removal(self, name: str) -> Iterator[None]:
        """While it is being removed a volume cannot be acquired."""
        self._leaving.add(name)
        try:
            yield
        finally:
            self._leaving.discard(name)

    def _record(self, name: str) -> VolumeRecord:
        record = self._table.get(name)
        if record is None or name in self._leaving:
            raise NotFound(f"get {name}: no such volume")
        return record

    def _matching(self, filters: Filters) -> list[VolumeRecord]:
        dangling = filters.flag("dangling", default=False) if filters.get("dangling") else None
        return [
            record
            for record in self._table.all()
            if (not filters.get("driver") or record.driver in filters.get("driver"))
            and _name_matches(filters.get("name"), record.name)
            and labels_match(filters, record.labels or {})
            and (dangling is None or dangling is not bool(self.users(record.name)))
        ]

    def _wire(self, record: VolumeRecord) -> Volume:
        return Volume(
            created_at=rfc3339(record.created_at // 1_000_000_000 * 1_000_000_000),
            driver=record.driver,
            labels=record.labels,
            mountpoint=str(self._driver.path(record.name)),
            name=record.name,
            options=record.options,
            scope=self._driver.scope,
        )


def _name_matches(wanted: tuple[str, ...], name: str) -> bool:
    """Each value is an expression to be found in the name, or, if it is not a valid one, the name itself."""
    return not wanted or any(value == name or _found(value, name) for value in wanted)


def _found(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False


def _prunes_all(filters: Filters) -> bool:
    values = filters.get("all")
    if len(values) > 1:
        raise InvalidArgument(f"invalid filter 'all=[{' '.join(values)}]': only one value is expected")
    try:
        return filters.flag("all", default=False)
    except InvalidArgument:
        raise InvalidArgument(
            f"invalid filter 'all': strconv.ParseBool: parsing \"{values[0]}\": invalid syntax"
        ) from None
