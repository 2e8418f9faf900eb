"""One blob on its way from upstream into the store, and any number of clients that read it meanwhile.

The thread that fetches hashes and writes; readers follow it at their own pace through the file that it grows, or
through a temporary one where the storage cannot be read while it is written. The last bytes are held back until the
digest of the whole has been found right: no client ever gets a whole blob that is a wrong one.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

from wherry.lib.errors import NotFound, WherryError
from wherry.registry import layout
from wherry.registry.errors import BlobUnknown, NotServing, RegistryError
from wherry.registry.storage import PathMissing, Writer
from wherry.registry.store import Store

logger = logging.getLogger(__name__)

PIECE = 1024 * 1024
HELD_BACK = 64 * 1024
STALL = 120.0
"""Seconds that a reader waits for upstream to send more."""


class Incoming(Protocol):
    """A blob's bytes as they come; a context manager."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of ``buffer``; 0 at the end."""

    def close(self) -> None:
        """Let go of it."""


class Flight:
    """See the module. ``run`` it in a thread; everything else may be called from any other."""

    def __init__(self, store: Store, repository: str, digest: str, size: int) -> None:
        self.digest = digest
        self.size = size
        self._store = store
        self._repositories = {repository}
        self._path = layout.upload(repository, str(uuid.uuid4()))
        self._turn = threading.Condition()
        self._come = 0
        self._done = False
        self._failure: RegistryError | None = None
        self._file = -1

    @property
    def come(self) -> int:
        """Bytes that have come so far."""
        with self._turn:
            return self._come

    def serves(self, repository: str) -> bool:
        """Whether this repository will have the blob."""
        with self._turn:
            return repository in self._repositories

    def join(self, repository: str) -> None:
        """Another repository is to have the blob too."""
        with self._turn:
            self._repositories.add(repository)

    def run(self, source: Callable[[], Incoming], ended: Callable[[Flight], None]) -> None:
        """Fetch it. Never raises; ``ended`` is called before readers learn of the end."""
        failure: RegistryError | None = NotServing("the fetch from upstream was broken off")
        try:
            self._fetch(source())
            failure = None
        except NotFound as error:
            failure = BlobUnknown(detail=f"upstream: {error}")
        except (WherryError, OSError) as error:
            failure = NotServing(f"upstream: {error or type(error).__name__}")
        finally:
            if failure is not None:
                logger.warning("pull-through: %s: %s", self.digest, failure.detail or failure)
            with contextlib.suppress(PathMissing, OSError, WherryError):
                self._store.driver.delete(self._path)
            ended(self)
            with self._turn:
                self._done, self._failure = True, failure
                self._turn.notify_all()

    def begun(self) -> None:
        """Wait until bytes come, or it is known that none will. Raises BlobUnknown, NotServing."""
        with self._turn:
            while not self._come and not self._done:
                if not self._turn.wait(STALL):
                    raise NotServing("upstream sends nothing")
            if self._failure is not None:
                raise self._failure

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """A stretch of the blob as it comes. Raises NotServing when it does not, after bytes that were right."""
        file = -1
        try:
            while length:
                ready, file = self._await(offset, file)
                if ready < 0:
                    yield from self._stored(offset, length)
                    return
                piece = os.pread(file, min(PIECE, length, ready - offset), offset)
                offset, length = offset + len(piece), length - len(piece)
                yield piece
        finally:
            if file >= 0:
                os.close(file)

    def _await(self, offset: int, file: int) -> tuple[int, int]:
        """How many bytes may be read, more than ``offset``, and from where; -1: all are in the store.

        ``file`` is the reader's own descriptor, -1 if it has none yet.
        """
        with self._turn:
            while True:
                if self._failure is not None:
                    raise self._failure
                if self._done:
                    return -1, file
                ready = min(self._come, max(0, self.size - HELD_BACK))
                if ready > offset and (file >= 0 or self._file >= 0):
                    return ready, file if file >= 0 else os.dup(self._file)
                if not self._turn.wait(STALL):
                    raise NotServing("upstream sends nothing")

    def _stored(self, offset: int, length: int) -> Iterator[bytes]:
        with self._store.open_blob(self.digest, offset) as reader:
            buffer = memoryview(bytearray(PIECE))
            while length:
                count = reader.readinto(buffer[: min(PIECE, length)])
                if not count:
                    raise NotServing("the blob has been removed")
                length -= count
                yield bytes(buffer[:count])

    def _fetch(self, incoming: Incoming) -> None:
        algorithm = self.digest.partition(":")[0]
        hashed = hashlib.new(algorithm)
        with contextlib.closing(incoming), self._store.driver.append(f"{self._path}/data") as writer:
            with self._readable() as copy:
                buffer = memoryview(bytearray(PIECE))
                while count := incoming.readinto(buffer):
                    if self._come + count > self.size:
                        raise NotServing(f"more than the {self.size} bytes that were announced")
                    hashed.update(buffer[:count])
                    writer.write(buffer[:count])
                    if copy is not None:
                        _write_all(copy, buffer[:count])
                    with self._turn:
                        self._come += count
                        self._turn.notify_all()
            if self._come != self.size or f"{algorithm}:{hashed.hexdigest()}" != self.digest:
                raise NotServing(f"{self._come} bytes with digest {algorithm}:{hashed.hexdigest()}")
            self._publish(writer)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[int | None]:
        """Have a file that readers can follow; the descriptor to which the bytes must be copied for that, if any."""
        try:
            with self._store.driver.open(f"{self._path}/data") as reader:
                file = None if reader.descriptor is None else os.dup(reader.descriptor)
        except PathMissing:
            file = None
        copy = None
        if file is None:
            with tempfile.TemporaryFile() as spool:
                file = copy = os.dup(spool.fileno())
        with self._turn:
            self._file = file
        try:
            yield copy
        finally:
            with self._turn:
                self._file = -1
            os.close(file)

    def _publish(self, writer: Writer) -> None:
        with self._store.gate.shared():
            self._store.gate.note(self.digest)
            self._store.publish(writer, self.digest)
            with self._turn:
                repositories = sorted(self._repositories)
            for name in repositories:
                self._store.repository(name).link_blob(self.digest)


def _write_all(file: int, data: memoryview) -> None:
    while len(data):
        data = data[os.write(file, data) :]
