"""A packed layer into a directory, on two threads: one unpacks and hashes, the other makes the files.

    read ─▶ Unpacked ─▶ sha256 (diff id) ─▶ a few pieces ─▶ apply_layer

zlib, zstd, sha256 and write all let go of the interpreter lock, so both threads run at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from wherry.diff.apply import Applied, apply_layer
from wherry.diff.compression import CHUNK, Readable, Unpacked
from wherry.diff.errors import BadArchive, Truncated
from wherry.transfer.threads import read_ahead

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
    stream = _Stream(raw)
    pieces = read_ahead(stream.read, PIECES)
    reserve = _Reserve(target)

    def pull() -> bytes:
        piece = next(pieces, b"")
        reserve.spend(len(piece))
        return piece

    try:
        applied = apply_layer(pull, target, lowers, stop.is_set)
    except BaseException:
        stop.set()  # the other thread may be waiting for bytes to come
        raise
    finally:
        pieces.close()
    return Unrolled(applied=applied, diff_id=stream.diff_id, unpacked=stream.count)


class _Stream:
    """The unpacked pieces of a stream; hashed if it is packed."""

    def __init__(self, raw: Readable) -> None:
        self._raw = raw
        self._unpacked: Unpacked | None = None
        self._digest = hashlib.sha256()
        self.diff_id = ""
        self.count = 0

    def read(self) -> bytes:
        """The next piece, empty at the end."""
        if self._unpacked is None:
            self._unpacked = Unpacked(self._raw)
        piece = _piece(self._unpacked)
        self.count += len(piece)
        if self._unpacked.compression:
            self._digest.update(piece)
            if not piece:
                self.diff_id = f"sha256:{self._digest.hexdigest()}"
        return piece


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
