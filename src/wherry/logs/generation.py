"""The files of one log: the active one and its rotated predecessors, opened together and read line by line."""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import time
import zlib
from pathlib import Path
from typing import BinaryIO

BLOCK = 64 * 1024
LONGEST_LINE = 4 * 1024 * 1024
"""A line longer than this was not written by us (an entry is at most 16 KiB of text); it is dropped."""
MARK = 64
"""Bytes before the reading position that are compared on each read, to see that the file is still the same."""
ROTATION_DEADLINE_S = 1.0
HOLD_DEADLINE_S = 0.05


class Generation:
    """One opened file of a log, plain or compressed. Positions are those of the plain text.

    It is held by a shared flock(2) until ``close``: the writer does not throw away or empty a file while it is.
    """

    def __init__(self, file: BinaryIO, *, compressed: bool) -> None:
        self._descriptor = file
        self._file = gzip.GzipFile(fileobj=file, mode="rb") if compressed else None
        self._held = (0, b"")
        status = os.fstat(file.fileno())
        self.key = (status.st_dev, status.st_ino)
        self.modified_ns = status.st_mtime_ns
        self.size = None if compressed else status.st_size
        """Bytes when it was opened; None if it is compressed."""

    def read_at(self, position: int, length: int) -> bytes:
        """At most ``length`` bytes from ``position``; empty at the end. A damaged compressed file ends there."""
        if self._file is None:
            return os.pread(self._descriptor.fileno(), length, position)
        held_at, held = self._held
        # Going back means unpacking from the beginning, so what was read last is kept for a reader that overlaps.
        kept = held[position - held_at :] if held_at <= position <= held_at + len(held) else b""
        if len(kept) < length:
            kept += self._unpack(position + len(kept), length - len(kept))
        self._held = position, kept
        return kept[:length]

    def _unpack(self, position: int, length: int) -> bytes:
        assert self._file is not None
        try:
            self._file.seek(position)
            return self._file.read(length)
        except (EOFError, OSError, zlib.error):
            return b""

    def tail_start(self, count: int) -> tuple[int, int]:
        """Where the last ``count`` lines begin, and how many there are of them (less when the file is short)."""
        if self.size is not None:
            return self._tail_backwards(self.size, count)
        return self._tail_forwards(count)

    def _tail_backwards(self, position: int, count: int) -> tuple[int, int]:
        seen = 0
        while position > 0:
            start = max(0, position - BLOCK)
            block = self.read_at(start, position - start)
            inside = block.count(b"\n")
            if seen + inside > count:
                cut = len(block)
                for _ in range(count + 1 - seen):
                    cut = block.rindex(b"\n", 0, cut)
                return start + cut + 1, count
            seen += inside
            position = start
        return 0, seen

    def _tail_forwards(self, count: int) -> tuple[int, int]:
        """The same where reading backwards is not possible: count all lines, then skip what is too many."""
        total = position = 0
        while block := self.read_at(position, BLOCK):
            total += block.count(b"\n")
            position += len(block)
        skip, position = max(0, total - count), 0
        while skip and (block := self.read_at(position, BLOCK)):
            inside = block.count(b"\n")
            if inside < skip:
                skip -= inside
                position += len(block)
                continue
            cut = -1
            for _ in range(skip):
                cut = block.index(b"\n", cut + 1)
            return position + cut + 1, min(count, total)
        return position, min(count, total)

    def close(self) -> None:
        """Close the file."""
        self._descriptor.close()


class LineReader:
    """Whole lines of one generation from ``position`` on, up to ``end`` or to wherever the file has grown to.

    It stands always at the beginning of a line: an unfinished one is read again, because a writer whose disk is full
    takes it back.
    """

    def __init__(self, generation: Generation, position: int = 0, end: int | None = None) -> None:
        self.generation = generation
        self._position = position
        self._end = end
        self._mark = b""
        self._rest = b""
        self._skipping = False

    def lines(self) -> list[bytes] | None:
        """The next lines, of about a block, without their line feeds; None when no more can be read now.

        A file that was truncated by someone else is read again from its beginning.
        """
        length = BLOCK
        while block := self._read(length):
            cut = block.rfind(b"\n") + 1
            zeros = len(block) - len(block.lstrip(b"\0"))
            if cut:
                self._advance(block[:cut])
                lines = block[zeros : cut - 1].split(b"\n")
                skipped, self._skipping = self._skipping, False
                return lines[1:] if skipped else lines
            if zeros == len(block):
                # Whoever truncates under a writer that does not append leaves a hole, which reads as zeros.
                self._advance(block)
            elif len(block) < length:
                self._rest = block
                return None
            elif length < LONGEST_LINE:
                length *= 2
            else:
                self._advance(block)
                self._skipping = True
        self._rest = b""
        return None

    def rest(self) -> bytes:
        """What stands after the last line feed, once ``lines`` has answered None."""
        return b"" if self._skipping else self._rest

    def _read(self, length: int) -> bytes:
        if self._end is not None:
            length = min(length, self._end - self._position)
        marked = len(self._mark)
        found = self.generation.read_at(self._position - marked, marked + length)
        if not found.startswith(self._mark):
            self._position, self._mark, self._skipping, marked = 0, b"", False, 0
            found = self.generation.read_at(0, length)
        return found[marked:]

    def _advance(self, passed: bytes) -> None:
        self._position += len(passed)
        self._mark = (self._mark + passed[-MARK:])[-MARK:]


def open_generations(path: Path) -> list[Generation]:
    """Every file of the log at ``path``, oldest first; empty when there is none. Raises OSError.

    All are opened anew if the active file is replaced meanwhile. They are opened newest first: a rotation renames to
    higher numbers, so it can show a file twice but hide none.
    """
    deadline = time.monotonic() + ROTATION_DEADLINE_S
    while True:
        active = _open(path, compressed=False)
        found = [active, *(_open_rotated(path, number) for number in range(1, _highest(path) + 2))]
        opened = [generation for generation in reversed(found) if generation is not None]
        if current_key(path) == (active.key if active else None) or time.monotonic() > deadline:
            return _distinct(opened)
        for generation in opened:
            generation.close()


def current_key(path: Path) -> tuple[int, int] | None:
    """Device and inode of the active file; None while there is none."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _distinct(opened: list[Generation]) -> list[Generation]:
    kept: dict[tuple[int, int], Generation] = {}
    for generation in opened:
        if kept.setdefault(generation.key, generation) is not generation:
            generation.close()
    return list(kept.values())


def _highest(path: Path) -> int:
    """The largest number that a rotated file has; 0 when there is none."""
    pattern = re.compile(re.escape(path.name) + r"\.([1-9]\d{0,3})(?:\.gz)?")
    try:
        names = os.listdir(path.parent)
    except FileNotFoundError:
        return 0
    return max((int(match[1]) for name in names if (match := pattern.fullmatch(name))), default=0)


def _open_rotated(path: Path, number: int) -> Generation | None:
    plain = _open(path.with_name(f"{path.name}.{number}"), compressed=False)
    return plain or _open(path.with_name(f"{path.name}.{number}.gz"), compressed=True)


def _open(path: Path, *, compressed: bool) -> Generation | None:
    deadline = time.monotonic() + HOLD_DEADLINE_S
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        _hold(descriptor, deadline)
        if os.fstat(descriptor).st_nlink > 0 or time.monotonic() > deadline:
            return Generation(os.fdopen(descriptor, "rb", buffering=0), compressed=compressed)
        os.close(descriptor)  # the writer has thrown it away between our two calls


def _hold(descriptor: int, deadline: float) -> None:
    """Lock the file, if it can be: a writer has it for itself for some microseconds, a stopped one for ever."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.0005)
        except OSError:
            return  # a file system without locks
        else:
            return
