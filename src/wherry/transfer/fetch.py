"""Blobs from registries: hashed and staged as they come, each once however many want it, some at a time.

A download is whole and verified, or leaves nothing. Only what a crash left of one is there to be continued.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from wherry.content import ContentStore, Staged
from wherry.lib.errors import Internal, InvalidArgument
from wherry.oci.digest import parse_digest
from wherry.oci.manifest import Descriptor
from wherry.transfer.growing import Growing
from wherry.transfer.members import reason_of
from wherry.transfer.remote.stop import Stop
from wherry.transfer.shared import Held, Jobs
from wherry.transfer.source import Origin, Source
from wherry.transfer.threads import in_own_thread

BUFFER = 512 * 1024


class StalePartial(InvalidArgument):
    """What was continued had a beginning that was torn; once more from the start it may be right."""


class Download:
    """One blob on its way in, or there already. Its figures may be read from anywhere."""

    def __init__(self, content: ContentStore, slots: asyncio.Semaphore, descriptor: Descriptor, origin: Origin) -> None:
        self._content = content
        self._slots = slots
        self._descriptor = descriptor
        self._origin = origin
        self.blob = Growing()
        self.begun = asyncio.Event()
        self.staged: Staged | None = None
        self.retry_in = 0
        """Seconds until the next attempt, while one has failed."""

    @property
    def waiting(self) -> bool:
        """Whether others are before it."""
        return not self.begun.is_set() and self._slots.locked()

    async def run(self) -> None:
        """Download it. Raises InvalidArgument for what is not as described, Internal, what the registry answers."""
        stop = Stop()
        try:
            async with self._slots:
                self.begun.set()
                await in_own_thread(lambda: self._fetch(stop), stop)
        except BaseException:
            self.begun.set()
            self.blob.end(broken=True)
            raise
        self.blob.end()

    async def drop(self) -> None:
        """Close the file, and delete it unless it was published."""
        self.blob.close()
        if self.staged is not None:
            await asyncio.to_thread(self.staged.discard)

    # --- in the thread --------------------------------------------------------------------------------------------

    def _fetch(self, stop: Stop) -> None:
        try:
            staged = self._content.resume(parse_digest(self._descriptor.digest))
        except OSError as error:
            raise Internal(f"open {self._descriptor.digest}: {reason_of(error)}") from error
        self.staged = staged
        try:
            self.blob.begin(staged.path)
            resumed = staged.rehash(self._descriptor.size, lambda size: self._grew(size, stop))
            stop.check()
            if staged.size < self._descriptor.size or not self._descriptor.size:
                self._receive(staged, self._origin.open(stop), stop)
            self._verify(staged, resumed=resumed > 0)
            staged.done()
        except OSError as error:
            self._discard(staged)
            raise Internal(f"write {staged.path}: {reason_of(error)}") from error
        except BaseException:
            self._discard(staged)
            raise

    def _discard(self, staged: Staged) -> None:
        self.staged = None
        staged.discard()

    def _receive(self, staged: Staged, source: Source, stop: Stop) -> None:
        view = memoryview(bytearray(min(BUFFER, max(1, self._descriptor.size))))
        with source.blob(self._descriptor, offset=staged.size) as stream:
            stream.on_retry = self._retrying
            while count := stream.readinto(view):
                self.retry_in = 0
                staged.write(view[:count])
                self._grew(staged.size, stop)
                stop.check()

    def _grew(self, size: int, stop: Stop) -> bool:
        self.blob.grew(size)
        return stop.is_set()

    def _retrying(self, seconds: int) -> None:
        self.retry_in = seconds

    def _verify(self, staged: Staged, *, resumed: bool) -> None:
        if staged.size == self._descriptor.size and staged.digest == self._descriptor.digest:
            return
        fault = f"filesystem layer verification failed for digest {self._descriptor.digest}"
        raise StalePartial(fault) if resumed else InvalidArgument(fault)


class Present:
    """A blob that is in the store already, as a download that is done."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self.blob = Growing()
        self.begun = asyncio.Event()
        self.staged: Staged | None = None
        self.retry_in = 0
        self.waiting = False

    async def run(self) -> None:
        """Open it. Raises Internal when it is gone."""
        self.begun.set()
        try:
            self.blob.begin(str(self._path))
        except OSError as error:
            self.blob.end(broken=True)
            raise Internal(f"open {self._path}: {reason_of(error)}") from error
        self.blob.grew(self._size)
        self.blob.end()

    async def drop(self) -> None:
        """Close the file."""
        self.blob.close()


class Downloads:
    """The downloads of one daemon: ``limit`` at once, whoever they are for, in the order in which they were wanted."""

    def __init__(self, content: ContentStore, limit: int) -> None:
        self._content = content
        self._slots = asyncio.Semaphore(limit)
        self._jobs: Jobs[Download | Present] = Jobs()

    def hold(self, descriptor: Descriptor, origin: Origin) -> Held[Download | Present]:
        """The download of a blob, begun if it is not under way from this registry."""
        return self._jobs.hold(
            (origin.domain, descriptor.digest, descriptor.size),
            lambda: Download(self._content, self._slots, descriptor, origin),
        )

    def present(self, descriptor: Descriptor) -> Held[Download | Present]:
        """The same of a blob that the store has, and that a lease keeps there."""
        path = self._content.path(parse_digest(descriptor.digest))
        return self._jobs.hold(object(), lambda: Present(path, descriptor.size))

    async def close(self) -> None:
        """Wait until what was given up is gone."""
        await self._jobs.close()
