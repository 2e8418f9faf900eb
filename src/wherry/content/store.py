"""The blob files of one daemon. Blocking; the owner of a long copy runs it in a thread."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wherry.content.ingest import Staged
from wherry.content.partials import SUFFIX, kept, partial_path
from wherry.lib.atomic import sync_directory
from wherry.lib.errors import Internal, NotFound
from wherry.oci.digest import Digest, digest_of, encoded, is_digest

_syncfs = ctypes.CDLL(None, use_errno=True).syncfs


@dataclass(frozen=True, slots=True)
class Damage:
    """A recorded blob that is not what was recorded. ``found`` is -1 where there is no file."""

    digest: Digest
    expected: int
    found: int

    def __str__(self) -> str:
        state = "is missing" if self.found < 0 else f"has {self.found} bytes instead of {self.expected}"
        return f"blob {self.digest} {state}"


class ContentStore:
    """Blobs below ``root``."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._ingest = root / "ingest"
        self._root = root
        self._staged: weakref.WeakSet[Staged] = weakref.WeakSet()
        self._staging = threading.Lock()

    def recover(self, recorded: Mapping[Digest, int]) -> list[Damage]:
        """Make the directories, remove what is not ``recorded`` (digest to size), and say what is damaged.

        The beginnings of downloads are kept for a while, see ``partials``.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (self._blobs, self._ingest):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        partials = kept(self._ingest)
        for leftover in self._ingest.iterdir():
            if leftover not in partials:
                leftover.unlink()
        for name in os.listdir(self._blobs):
            if f"sha256:{name}" not in recorded:
                os.unlink(self._blobs / name)
        damage = [Damage(digest, size, self._size(digest)) for digest, size in recorded.items()]
        return [one for one in damage if one.found != one.expected]

    def stage(self) -> Staged:
        """A new blob to write."""
        with self._staging:
            return self._begin(str(self._ingest / secrets.token_hex(8)))

    def resume(self, digest: Digest) -> Staged:
        """The blob ``digest`` to download: what a daemon before this one had of it is there, see ``Staged.rehash``.

        While another download of it is under way, a new file.
        """
        path = str(partial_path(self._ingest, digest))
        with self._staging:
            if any(blob.path == path for blob in self._staged):
                return self._begin(str(self._ingest / secrets.token_hex(8)))
            return self._begin(path, resume=True)

    def _begin(self, path: str, *, resume: bool = False) -> Staged:
        blob = Staged(path, resume=resume)
        self._staged.add(blob)
        return blob

    def expire(self) -> None:
        """Delete what has become too old of the beginnings of downloads."""
        with self._staging:
            for path in self._strays():
                if path.suffix == SUFFIX:
                    path.unlink(missing_ok=True)

    def put(self, data: bytes) -> Staged:
        """A new blob of ``data``, staged."""
        return self.take([data])

    def take(self, pieces: Iterable[bytes | memoryview]) -> Staged:
        """A new blob of what comes, staged. Raises OSError, and what ``pieces`` raises; then nothing stays of it."""
        blob = self.stage()
        try:
            for piece in pieces:
                blob.write(piece)
            blob.done()
        except BaseException:
            blob.discard()
            raise
        return blob

    def sync(self) -> None:
        """Wait until all that was written to this file system is on disk: blobs and unpacked layers at once."""
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _syncfs(fd) < 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(fd)

    def publish(self, blobs: Iterable[Staged]) -> dict[Digest, int]:
        """Put synced blobs into place, durably: digest to size. Record them next, or start-up removes them."""
        sizes: dict[Digest, int] = {}
        for blob in blobs:
            place = str(self.path(blob.digest))
            os.rename(blob.path, place)
            blob.path, blob.published = place, True
            sizes[blob.digest] = blob.size
        if sizes:
            sync_directory(self._blobs)
        return sizes

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        if not is_digest(digest):
            raise Internal(f"not a digest: {digest!r}")
        return self._blobs / encoded(digest)

    def open(self, digest: Digest) -> BinaryIO:
        """The blob, to read. Raises NotFound."""
        try:
            return self.path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFound(f"blob {digest} is missing") from None

    def read(self, digest: Digest, limit: int) -> bytes:
        """A small blob, whole and verified. Raises NotFound, Internal naming a damaged one."""
        with self.open(digest) as file:
            data = file.read(limit + 1)
        if len(data) > limit or digest_of(data) != digest:
            raise Internal(f"blob {digest} is damaged")
        return data

    def intact(self, digest: Digest, size: int) -> bool:
        """Whether the blob is there with this size."""
        return self._size(digest) == size

    @property
    def directory(self) -> Path:
        """Where the blobs in place are."""
        return self._blobs

    def stored(self) -> dict[str, int]:
        """The files that are in place: name to size."""
        with os.scandir(self._blobs) as entries:
            return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}

    def strays(self) -> list[Path]:
        """Files on the way in that nobody writes or waits to publish, nor is kept to be continued."""
        with self._staging:
            return self._strays()

    def _strays(self) -> list[Path]:
        """While no new file can be begun."""
        wanted = {blob.path for blob in self._staged}
        partials = kept(self._ingest)
        return [path for path in self._ingest.iterdir() if str(path) not in wanted and path not in partials]

    def remove(self, digests: Iterable[Digest]) -> None:
        """Delete blobs whose records are gone; missing ones are gone already."""
        for digest in digests:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(digest))

    def _size(self, digest: Digest) -> int:
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return -1
