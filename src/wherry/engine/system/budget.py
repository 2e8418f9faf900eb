"""The disk budget (beyond Docker): one cap over images, their blobs and containers' logs, kept by eviction.

    --disk-budget 20GB            what they may take together; 0 is no cap
    --disk-keep-images 1          of each repository so many images stay, the last that came

Looked at after a pull, load, import or commit and once a minute. Over the cap the image goes that was used longest ago:
a container was made of it or started, or it came. What a container has, what is kept, an image with children, and
the image that came or was used last all stay. Where that is not enough, rotated logs of stopped containers go, oldest
first; what is still over is said in the log, and nothing else is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wherry.engine.system.uses import Uses
from wherry.lib.errors import WherryError
from wherry.oci.reference import Reference
from wherry.state.image import ImageDocument

PERIOD = 60.0
SETTLE = 0.2
"""Seconds after an arrival, so that what comes together is looked at together."""
ARRIVALS = frozenset({"pull", "load", "import", "create", "tag"})
_ROTATED = re.compile(r"-json\.log\.\d+(\.gz)?$")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An image that may have to go."""

    document: ImageDocument
    references: tuple[Reference, ...]

    @property
    def id(self) -> str:
        return self.document.id


class Images(Protocol):
    """The images as the budget needs them."""

    def records(self) -> Sequence[Candidate]:
        """Every image."""

    def in_use(self, image_id: str) -> bool:
        """Whether a container is made of it, or an image built on it."""

    async def evict(self, image_id: str) -> None:
        """Remove it with all its names. Raises Conflict when it is in use after all."""

    def bytes_held(self) -> int:
        """What layers and blobs take together."""


class Logs(Protocol):
    """The directories of containers."""

    def directories(self, *, stopped: bool) -> Iterable[Path]:
        """Those of all containers, or of stopped ones only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the daemon was told."""

    limit: int = 0
    keep: int = 1


class Budget:
    """Keeps the cap. Belongs to one event loop."""

    def __init__(self, policy: Policy, images: Images, logs: Logs, uses: Uses) -> None:
        self.policy = policy
        self._images = images
        self._logs = logs
        self._uses = uses
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, where there is a cap."""
        if self.policy.limit:
            self._wanted.set()
            self._task = asyncio.create_task(self._watch(), name="disk budget")

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def observe(self, kind: str, action: str, _actor: str) -> None:
        """Something happened: see whether it brought bytes."""
        if (kind == "image" and action in ARRIVALS) or (kind, action) == ("container", "commit"):
            self._wanted.set()

    async def used(self) -> int:
        """Bytes under the cap."""
        return self._images.bytes_held() + await asyncio.to_thread(self._log_bytes)

    async def keep(self) -> list[str]:
        """Evict until the cap holds or nothing is left to evict; the ids of the images that went."""
        gone: list[str] = []
        while (used := await self.used()) > self.policy.limit:
            victim = next(iter(self.candidates()), None)
            if victim is None:
                await self._drop_logs(used - self.policy.limit)
                break
            _log.info("disk budget: %d bytes over, removing image %s", used - self.policy.limit, _called(victim))
            try:
                await self._images.evict(victim.id)
            except WherryError as error:
                _log.info("disk budget: %s", error)
                break
            gone.append(victim.id)
        return gone

    def candidates(self) -> list[Candidate]:
        """What may go, least recently used first."""
        records = list(self._images.records())
        if not records:
            return []
        by_use = sorted(records, key=lambda record: (self._uses.last(record.document), record.id))
        kept = _kept(records, self.policy.keep) | {by_use[-1].id}
        return [record for record in by_use if record.id not in kept and not self._images.in_use(record.id)]

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._wanted.wait()
            await asyncio.sleep(SETTLE)
            self._wanted.clear()
            try:
                await self.keep()
            except (WherryError, OSError, sqlite3.Error):
                _log.exception("disk budget")

    async def _drop_logs(self, over: int) -> None:
        for path, size in await asyncio.to_thread(self._rotated):
            if over <= 0:
                return
            _log.info("disk budget: removing %s, a rotated log of a stopped container", path)
            await asyncio.to_thread(path.unlink, missing_ok=True)
            over -= size
        if over > 0:
            _log.warning("disk budget: %d bytes over, and nothing that may be removed", over)

    def _rotated(self) -> list[tuple[Path, int]]:
        found = [
            (path, path.stat())
            for directory in self._logs.directories(stopped=True)
            for path in _files(directory)
            if _ROTATED.search(path.name)
        ]
        return [(path, status.st_size) for path, status in sorted(found, key=lambda one: one[1].st_mtime_ns)]

    def _log_bytes(self) -> int:
        total = 0
        for directory in self._logs.directories(stopped=False):
            for path in _files(directory):
                if "-json.log" in path.name:
                    with contextlib.suppress(FileNotFoundError):
                        total += path.stat().st_size
        return total


def _kept(records: Sequence[Candidate], count: int) -> set[str]:
    """The last ``count`` images of each repository."""
    repositories: defaultdict[str, list[Candidate]] = defaultdict(list)
    for record in records:
        for name in {reference.name for reference in record.references}:
            repositories[name].append(record)
    kept: set[str] = set()
    for members in repositories.values():
        newest = sorted(members, key=lambda record: max(record.document.tagged_ns, record.document.loaded_ns))
        kept.update(record.id for record in newest[len(newest) - count :] if count)
    return kept


def _called(record: Candidate) -> str:
    return ", ".join(reference.familiar for reference in record.references) or record.id


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []
