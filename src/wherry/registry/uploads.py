"""Uploads on their way: a file that grows by requests, hashed as it grows, a blob once its digest has been verified.

begin ─▶ append* ─▶ finish ─▶ the blob, and its link in the repository
             │         └─ another digest than was said: the upload is gone
             └─ cancel, or nothing for too long (``purge``): gone
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from wherry.lib.clock import now_ns, parse_rfc3339, rfc3339
from wherry.registry import layout, names
from wherry.registry.errors import BadDigest, BadUpload, UploadUnknown
from wherry.registry.storage import PathMissing, Reader, Writer, entries
from wherry.registry.store import Store

_log = logging.getLogger(__name__)
PIECE = 1024 * 1024
HASHES_KEPT = 4096
CANONICAL = "sha256"

Fill = Callable[[memoryview], int]
"""Gives the next bytes of a body; 0 at its end."""


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(slots=True)
class _State:
    """What is known of an upload in this process."""

    busy: threading.Lock = field(default_factory=threading.Lock)
    algorithm: str = CANONICAL
    hash: _Hash | None = None
    size: int = 0
    """Bytes that ``hash`` has seen."""


class Uploads:
    """The unfinished uploads of all repositories. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._driver = store.driver
        self._lock = threading.Lock()
        self._states: OrderedDict[str, _State] = OrderedDict()

    def begin(self, repository: str, algorithm: str = CANONICAL) -> str:
        """A new upload's id."""
        identifier = str(uuid.uuid4())
        started = rfc3339(now_ns() // 10**9 * 10**9)
        path = layout.upload(repository, identifier)
        self._driver.write(f"{path}/startedat", started.encode("ascii"))
        with self._driver.append(f"{path}/data"):
            pass
        self._state(identifier).algorithm = algorithm
        return identifier

    def size(self, repository: str, identifier: str) -> int:
        """The bytes that have come so far. Raises UploadUnknown."""
        path = layout.upload(repository, identifier)
        try:
            return self._driver.stat(f"{path}/data").size
        except PathMissing:
            raise UploadUnknown from None

    def append(self, repository: str, identifier: str, fill: Fill, check: Callable[[int], None]) -> int:
        """Add what ``fill`` gives and return the size so far.

        ``check`` is given the size before, and raises to refuse. Raises UploadUnknown, BadUpload (409: in use).
        """
        with self._open(repository, identifier) as (state, writer):
            check(writer.size)
            self._pour(repository, identifier, state, writer, fill)
            return writer.size

    def finish(
        self, repository: str, identifier: str, digest: str, fill: Fill, check: Callable[[int], None]
    ) -> tuple[str, int]:
        """Add what ``fill`` gives, verify the whole and make it a blob of the repository: its digest and size.

        Raises UploadUnknown, BadUpload, BadDigest; after the last the upload is gone.
        """
        algorithm = digest.partition(":")[0]
        with self._open(repository, identifier) as (state, writer):
            check(writer.size)
            if state.algorithm != algorithm:
                state.algorithm, state.hash = algorithm, None
            self._pour(repository, identifier, state, writer, fill)
            size = writer.size
            assert state.hash is not None
            found = f"{algorithm}:{state.hash.hexdigest()}"
            if found == digest:
                # Noted first, so that no collection takes it before it is linked; the gate is not held while a large
                # file is synced, which would hold up every push.
                self._store.gate.note(digest)
                self._store.publish(writer, digest)
                with self._store.gate.shared():
                    self._store.repository(repository).link_blob(digest)
        self.forget(repository, identifier)
        if found != digest:
            raise BadDigest(detail=f"the content has digest {found}")
        return digest, size

    def forget(self, repository: str, identifier: str) -> None:
        """Remove what there is of an upload. Raises UploadUnknown."""
        with self._lock:
            self._states.pop(identifier, None)
        try:
            self._driver.delete(layout.upload(repository, identifier))
        except PathMissing:
            raise UploadUnknown from None

    def purge(self, age: float, *, dry: bool = False) -> list[str]:
        """Remove uploads that were begun, and last added to, more than ``age`` seconds ago: their paths."""
        purged = []
        oldest = time.time() - age
        for name in self._uploading():
            for identifier in entries(self._driver, layout.uploads(name)):
                if self._touched(name, identifier) > oldest or self._in_use(identifier):
                    continue
                purged.append(f"{name}/{identifier}")
                if not dry:
                    with contextlib.suppress(UploadUnknown):
                        self.forget(name, identifier)
        return purged

    # --- one request's turn

    @contextmanager
    def _open(self, repository: str, identifier: str) -> Iterator[tuple[_State, Writer]]:
        state = self._state(identifier)
        if not state.busy.acquire(blocking=False):
            raise BadUpload("another request is writing to this upload", status=409)
        try:
            try:
                writer = self._driver.append(f"{layout.upload(repository, identifier)}/data", make=False)
            except PathMissing:
                raise UploadUnknown from None
            with writer:
                yield state, writer
        finally:
            state.busy.release()

    def _pour(self, repository: str, identifier: str, state: _State, writer: Writer, fill: Fill) -> None:
        """Everything that ``fill`` gives, hashed and written."""
        if state.hash is None or state.size != writer.size:
            self._rehash(repository, identifier, state, writer.size)
        assert state.hash is not None
        buffer = memoryview(bytearray(PIECE))
        while True:
            count, failure = _fill_up(fill, buffer)
            state.hash.update(buffer[:count])
            state.size += count
            writer.write(buffer[:count])
            if failure is not None:
                raise failure
            if count < len(buffer):
                return

    def _rehash(self, repository: str, identifier: str, state: _State, size: int) -> None:
        """Hash the file of ``size`` bytes: it was begun by another process, or under another algorithm."""
        state.hash, state.size = hashlib.new(state.algorithm), 0
        if not size:
            return
        buffer = memoryview(bytearray(PIECE))
        with self._reader(f"{layout.upload(repository, identifier)}/data") as reader:
            while count := reader.readinto(buffer):
                state.hash.update(buffer[:count])
                state.size += count

    def _reader(self, path: str) -> Reader:
        try:
            return self._driver.open(path)
        except PathMissing:
            raise UploadUnknown from None

    def _state(self, identifier: str) -> _State:
        with self._lock:
            state = self._states.get(identifier)
            if state is None:
                state = self._states[identifier] = _State()
                idle = next(iter(self._states))
                if len(self._states) > HASHES_KEPT and not self._states[idle].busy.locked():
                    del self._states[idle]
            self._states.move_to_end(identifier)
            return state

    def _in_use(self, identifier: str) -> bool:
        with self._lock:
            state = self._states.get(identifier)
            return state is not None and state.busy.locked()

    # --- what there is

    def _uploading(self) -> Iterator[str]:
        """Every repository with uploads, be they all it has."""
        pending = [""]
        while pending:
            name = pending.pop()
            for entry in entries(self._driver, layout.repository(name) if name else layout.REPOSITORIES):
                inner = f"{name}/{entry}" if name else entry
                if entry == layout.UPLOADS and name:
                    yield name
                elif names.is_name(inner):
                    pending.append(inner)

    def _touched(self, repository: str, identifier: str) -> float:
        """When an upload was begun or last added to, in seconds since the epoch; 0 if that cannot be told."""
        path = layout.upload(repository, identifier)
        moments = [0.0]
        with contextlib.suppress(PathMissing, ValueError):
            moments.append(parse_rfc3339(self._driver.read(f"{path}/startedat").decode("ascii")) / 1e9)
        with contextlib.suppress(PathMissing):
            moments.append(self._driver.stat(f"{path}/data").modified)
        return max(moments)


def _fill_up(fill: Fill, buffer: memoryview) -> tuple[int, OSError | None]:
    """As many bytes as there is room for, or as there are; and how the client has gone, if it has.

    What it has sent before is kept, so that it can go on from there.
    """
    filled = 0
    while filled < len(buffer):
        try:
            count = fill(buffer[filled:])
        except OSError as error:
            return filled, error
        if not count:
            break
        filled += count
    return filled, None
