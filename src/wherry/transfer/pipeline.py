"""A packed layer into a directory, on two threads: one unpacks and hashes, the other makes the files.

    read ─▶ Unpacked ─▶ sha256 (diff id) ─▶ a few pieces ─▶ apply_layer

zlib, zstd, sha256 and write all let go of the interpreter lock, so both threads run at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from wherry.diff.apply import Applied, apply_layer
from wherry.diff.compression import CHUNK, Readable, Unpacked
from wherry.diff.errors import BadArchive, Stopped, Truncated

PIECES = 6
"""Of CHUNK bytes at most, between the two threads."""
LOOK_BYTES = 64 * 1024 * 1024
"""After so many unpacked bytes the disk is looked at."""
RESERVE_MAX = 64 * 1024 * 1024
RESERVE_PART = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrolled:
    """A layer was unpacked: what it brought, the digest of its tar (empty when it was not packed) and its size."""

    applied: Applied
    diff_id: str
    unpacked: int


class BadPacking(BadArchive):
    """Not the tar is broken but what it is packed in."""

    def __init__(self, reason: BadArchive) -> None:
        super().__init__(reason.message)
        self.truncated = isinstance(reason, Truncated)


def unroll(raw: Readable, target: str, lowers: Sequence[str], stop: threading.Event) -> Unrolled:
    """Unpack the layer that ``raw`` gives into ``target``.

    Sets ``stop`` when it fails. Raises BadArchive, BadPacking, Stopped, OSError (no space left: a reserve is kept,
    whatever a layer unpacks to), and what ``raw`` raises.
    """
    ahead = _Ahead(raw)
    reserve = _Reserve(target)

    def pull() -> bytes:
        piece = ahead.take()
        reserve.spend(len(piece))
        return piece

    try:
        applied = apply_layer(pull, target, lowers, stop.is_set)
    except BaseException:
        stop.set()  # the other thread may be waiting for bytes to come
        raise
    finally:
        ahead.close()
    return Unrolled(applied=applied, diff_id=ahead.diff_id, unpacked=ahead.count)


class _Ahead:
    """Unpacked pieces of a stream, made by a thread of its own; each is hashed if the stream is packed."""

    def __init__(self, raw: Readable) -> None:
        self._raw = raw
        self._pieces: queue.Queue[bytes | BaseException] = queue.Queue(PIECES)
        self._enough = False
        self.diff_id = ""
        self.count = 0
        self._thread = threading.Thread(target=self._run, name="unpack")
        self._thread.start()

    def take(self) -> bytes:
        """The next piece, empty at the end. Raises what went wrong there."""
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def close(self) -> None:
        """Want no more, and wait for the thread."""
        self._enough = True
        while self._thread.is_alive():
            try:
                self._pieces.get(timeout=0.05)
            except queue.Empty:
                continue

    def _run(self) -> None:
        try:
            self._unpack()
        except BaseException as error:  # noqa: BLE001  raised by ``take``, in the thread that asks
            self._pieces.put(error)

    def _unpack(self) -> None:
        stream = Unpacked(self._raw)
        digest = hashlib.sha256() if stream.compression else None
        while not self._enough:
            piece = _piece(stream)
            self.count += len(piece)
            if digest is not None:
                digest.update(piece)
                if not piece:
                    self.diff_id = f"sha256:{digest.hexdigest()}"
            self._pieces.put(piece)
            if not piece:
                return
        raise Stopped


def _piece(stream: Unpacked) -> bytes:
    try:
        return stream.read(CHUNK)
    except BadArchive as error:
        raise BadPacking(error) from None


class _Reserve:
    """Keeps a little of the disk free, so that a layer that unpacks to anything fails before the whole machine does."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._spent = 0

    def spend(self, count: int) -> None:
        """So many bytes are about to be written. Raises OSError."""
        self._spent += count
        if self._spent < LOOK_BYTES:
            return
        self._spent = 0
        disk = os.statvfs(self._target)
        total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        if free < min(RESERVE_MAX, total // RESERVE_PART):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
