"""``docker push`` of one image under one tag: blobs side by side, then the manifests, then what was learned is kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from wherry.oci.digest import digest_of
from wherry.state import blob_source
from wherry.state.image import ImageDocument
from wherry.state.lease import CONTENT
from wherry.transfer.progress import Detail, Say, moved
from wherry.transfer.push_layer import PUSHING, Outgoing, Sent, push_blob
from wherry.transfer.push_plan import Plan, make_manifest, plan_push
from wherry.transfer.push_target import Known, Target
from wherry.transfer.remote.stop import Stop
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import to_its_end

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What the tag leads to now."""

    digest: str
    size: int


class Pusher:
    """The pushes of one daemon: ``uploads`` blobs at once, whoever they are for."""

    def __init__(self, store: ImageStore, uploads: int) -> None:
        self._store = store
        self._slots = asyncio.Semaphore(uploads)
        # Threads of its own: a push may hold some for hours, and the common ones are few.
        self._threads = ThreadPoolExecutor(max_workers=uploads + 1, thread_name_prefix="push")

    def close(self) -> None:
        """Let go of the threads; pushes must have been cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def push(
        self,
        image: ImageDocument,
        tag: str,
        target: Target,
        stop: Stop,
        say: Say,
        *,
        whole: bool = True,
        foreign: bool = False,
    ) -> Pushed:
        """Push the image as ``tag``; see ``plan_push`` for the last two.

        Raises what the target raises, NotFound or Internal for what is missing or damaged here. When cancelled,
        ``stop`` is set and the threads are waited for.
        """
        async with self._store.leases.hold() as lease:
            await lease.add(CONTENT, image.blobs)
            plan = await self._thread(partial(plan_push, self._store, image, whole=whole, foreign=foreign), stop)
            sent = await self._blobs(plan, target, stop, say)
            documents = plan.documents or (make_manifest(plan.config, sent),)
            for document in documents[:-1]:
                put = partial(target.put_manifest, document.digest, document.media_type, document.raw)
                await self._thread(put, stop)
            last = documents[-1]
            await self._thread(partial(target.put_manifest, tag, last.media_type, last.raw), stop)
            return Pushed(digest=digest_of(last.raw), size=len(last.raw))

    async def _blobs(self, plan: Plan, target: Target, stop: Stop, say: Say) -> list[Sent]:
        """Push every blob. The layers as the registry has them, bottom first."""
        layers = {blob.digest: blob for blob in reversed(plan.layers)}
        for blob in layers.values():
            say(moved(blob.diff_id, "Preparing"))
        tasks: dict[str, asyncio.Task[Sent]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for digest, blob in layers.items():
                    tell = partial(_tell, say, blob.diff_id)
                    tasks[digest] = group.create_task(self._blob(blob, target, stop, tell))
                for blob in plan.others:
                    group.create_task(self._blob(blob, target, stop, lambda *_: None))
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [tasks[blob.digest].result() for blob in plan.layers]

    async def _blob(self, blob: Outgoing, target: Target, stop: Stop, say: Callable[[str, int, int], None]) -> Sent:
        if self._slots.locked():
            say("Waiting", 0, 0)
        async with self._slots:
            work = partial(push_blob, self._store.content, target, blob, self._known(blob), say=say, stop=stop)
            sent = await self._thread(work, stop)
        if not blob.foreign:
            await self._record(sent, target.name.name, blob.diff_id)
        return sent

    def _known(self, blob: Outgoing) -> list[Known]:
        database = self._store.database
        if blob.packed:
            return [Known(blob.digest, blob.size, where) for where in blob_source.sources(database, blob.digest)]
        return [Known(*row) for row in blob_source.by_diff(database, blob.diff_id) if row[0] != blob.diff_id]

    async def _record(self, sent: Sent, repository: str, diff_id: str) -> None:
        if repository in blob_source.sources(self._store.database, sent.digest):
            return

        def change(connection: sqlite3.Connection) -> None:
            blob_source.record(connection, sent.digest, repository, diff_id, sent.size)

        await self._store.database.write(change)

    async def _thread(self, work: Callable[[], T], stop: Stop) -> T:
        """Run ``work`` in one of the threads; when cancelled, stop it and wait until it has let go of everything."""
        return await to_its_end(asyncio.get_running_loop().run_in_executor(self._threads, work), stop)


def _tell(say: Say, diff_id: str, status: str, current: int, total: int) -> None:
    say(moved(diff_id, status, Detail(current, total) if status == PUSHING else Detail()))
