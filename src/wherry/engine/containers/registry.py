"""The containers in memory: found by id, name or unambiguous prefix; every change is stored before it is seen."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial

from wherry.engine.containers.attachment import Hub
from wherry.engine.containers.record import ContainerRecord, from_document, to_document
from wherry.lib import ids
from wherry.lib.errors import Conflict, InvalidArgument, NotFound
from wherry.runtime.launcher import Shim
from wherry.state.container import ContainerTable


class Entry:
    """One container's present: its record, and what exists only while this daemon lives.

    ``record`` may be read at any time; whoever changes the container holds ``lock``. Lists and inspects never do.
    """

    def __init__(self, record: ContainerRecord) -> None:
        self.record = record
        self.lock = asyncio.Lock()
        self.shim: Shim | None = None
        self.hub = Hub()
        self.exec_ids: list[str] = []
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The next exit's code; replaced by a new future each time it has been resolved."""
        self.removed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.stop_requested = False
        """Set while somebody stops it, so that the restart policy stays out."""
        self.keep_when_ended = False
        """Set while ``docker restart`` stops it, so that ``--rm`` stays out."""
        self.restart_timer: asyncio.Task[None] | None = None
        self.restart_delay = 0.05
        """Seconds of the last wait before a restart; doubled for the next."""
        self.monitor: asyncio.Task[None] | None = None
        self.removal: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def busy(self) -> bool:
        """It runs, or is about to, or somebody is changing it: what it has in the kernel and on disk is its own."""
        return self.record.state.alive or self.lock.locked()

    def cancel_restart(self) -> None:
        """No restart that is still waiting will happen."""
        if self.restart_timer is not None:
            self.restart_timer.cancel()
            self.restart_timer = None

    def announce_exit(self, code: int) -> None:
        """Wake those who wait for the next exit."""
        past, self.exited = self.exited, asyncio.get_running_loop().create_future()
        past.set_result(code)


class Registry:
    """Every container of the daemon."""

    def __init__(self, table: ContainerTable) -> None:
        self._table = table
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, str] = {}

    def load(self) -> None:
        """Read what is stored: once, at start."""
        for document in self._table.all():
            record = from_document(document)
            self._entries[record.id] = Entry(record)
            self._names[record.name] = record.id

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __contains__(self, container_id: str) -> bool:
        return container_id in self._entries

    def get(self, container_id: str) -> Entry | None:
        """The container of a full id."""
        return self._entries.get(container_id)

    def known(self) -> frozenset[str]:
        """The ids of all containers, and of those that are being made."""
        return frozenset([*self._entries, *self._names.values()])

    @property
    def names(self) -> frozenset[str]:
        """Every name in use or reserved."""
        return frozenset(self._names)

    def find(self, key: str) -> Entry:
        """The container with that id, name, or id prefix. Raises NotFound, InvalidArgument when ambiguous."""
        container_id = self._names.get(key.removeprefix("/"), key)
        if container_id in self._entries:
            return self._entries[container_id]
        matches = ids.by_prefix(key, self._entries) if key else []
        if len(matches) > 1:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {key}")
        if not matches:
            raise NotFound(f"No such container: {key}")
        return self._entries[matches[0]]

    def reserve(self, name: str, container_id: str) -> None:
        """Take a name before the container is stored. Raises Conflict in Docker's words."""
        owner = self._names.get(name)
        if owner is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._names[name] = container_id

    def release(self, name: str) -> None:
        """Give a name back."""
        self._names.pop(name, None)

    async def add(self, record: ContainerRecord) -> Entry:
        """Store a new container whose name is reserved."""
        await self._table.save(record.id, record.name, to_document(record))
        entry = Entry(record)
        self._entries[record.id] = entry
        return entry

    async def update(self, entry: Entry, record: ContainerRecord) -> None:
        """Store a changed record; it is seen once it is durable."""
        await self._table.save(record.id, record.name, to_document(record))
        entry.record = record

    def forgetting(self, entry: Entry) -> Callable[[sqlite3.Connection], None]:
        """The stored half of forgetting a container, for the transaction that also forgets its snapshot."""
        return partial(self._table.delete_in, entry.id)

    def drop(self, entry: Entry) -> None:
        """The other half: it is no longer known, and its name is free."""
        self._entries.pop(entry.id, None)
        self._names.pop(entry.name, None)
