"""Blobs: every recorded one is there, whole, and nothing else is there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import threading
from functools import partial
from pathlib import Path

from wherry.engine.system.fsck.finding import Finding
from wherry.engine.system.fsck.owners import Owners
from wherry.oci.digest import Digest, encoded
from wherry.state import content as content_state
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import interruptible

_CHUNK = 1024 * 1024


class Blobs:
    """Records, sizes and files, in both directions."""

    name = "blobs"
    steady = False

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    async def look(self) -> list[Finding]:
        async with self._store.still():
            recorded = content_state.sizes(self._store.database)
            stored = await asyncio.to_thread(self._store.content.stored)
            strays = await asyncio.to_thread(self._store.content.strays)
        owners = Owners(self._store.images)
        found = []
        for digest, size in recorded.items():
            present = stored.pop(encoded(digest), None)
            if present is None:
                found.append(_missing(digest, owners))
            elif present != size:
                problem = f"has {present} bytes instead of {size}, in {owners.of_blob(digest)}"
                found.append(condemned("blob-size", digest, problem, self._store, owners))
        found += [self._orphan(name, size) for name, size in stored.items()]
        return found + [self._stray(path) for path in strays]

    def _orphan(self, name: str, size: int) -> Finding:
        async def mend() -> None:
            async with self._store.still():
                if content_state.size_of(self._store.database, f"sha256:{name}") is None:
                    await asyncio.to_thread(_unlink, self._store.content.directory / name)

        return Finding(
            kind="blob-orphan",
            subject=name,
            problem=f"a file of {size} bytes that no record knows",
            remedy="is deleted",
            mend=mend,
        )

    @staticmethod
    def _stray(path: Path) -> Finding:
        return Finding(
            kind="ingest-orphan",
            subject=path.name,
            problem="a file on its way in that nobody writes any more",
            remedy="is deleted",
            mend=partial(asyncio.to_thread, _unlink, path),
        )


class BlobDigests:
    """Every byte of every blob, against its digest."""

    name = "blob digests"
    steady = True

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    async def look(self) -> list[Finding]:
        owners = Owners(self._store.images)
        found = []
        for digest, size in content_state.sizes(self._store.database).items():
            path = self._store.content.path(digest)
            try:
                actual = await interruptible(partial(_hash, path))
            except FileNotFoundError:
                continue  # removed meanwhile, or missing, which the quick check says
            except OSError as error:
                problem = f"cannot be read ({error.strerror}), in {owners.of_blob(digest)}"
                found.append(condemned("blob-unreadable", digest, problem, self._store, owners))
                continue
            if actual != digest and content_state.size_of(self._store.database, digest) == size:
                problem = f"holds other bytes ({actual}), in {owners.of_blob(digest)}"
                found.append(condemned("blob-damaged", digest, problem, self._store, owners))
        return found


def condemned(kind: str, digest: Digest, problem: str, store: ImageStore, owners: Owners) -> Finding:
    """A finding whose repair takes the file away, so that the blob counts as missing and comes anew."""

    async def mend() -> None:
        async with store.still():
            await asyncio.to_thread(store.content.remove, [digest])

    remedy = f"is thrown away; then pull or load {owners.of_blob(digest)} again"
    return Finding(kind=kind, subject=digest, problem=problem, remedy=remedy, mend=mend)


def _missing(digest: Digest, owners: Owners) -> Finding:
    owner = owners.of_blob(digest)
    return Finding(
        kind="blob-missing", subject=digest, problem=f"has no file, in {owner}", remedy=f"pull or load {owner} again"
    )


def _hash(path: Path, stop: threading.Event) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while (data := file.read(_CHUNK)) and not stop.is_set():
            digest.update(data)
    return f"sha256:{digest.hexdigest()}"


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
