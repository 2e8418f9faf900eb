"""Reading a json-file log: the last lines, a span of time, and following it over rotations.

A follower keeps its file open and reads it to the end even when it has been renamed or removed meanwhile; then it goes
on with the file that was begun next. The writer does not throw away a file while somebody reads it, nor therefore any
newer one (see ``generation``). So a follower loses lines only if it stands still until the writer's patience has run
out, or if somebody else truncates the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from wherry.lib.clock import now_ns
from wherry.logs.generation import BLOCK, Generation, LineReader, current_key, open_generations
from wherry.logs.line import LogLine, parse_line
from wherry.logs.watch import DirectoryWatch

COARSE_CLOCK_NS = 1_000_000_000
"""A file's time lags behind the clock that stamps its lines, by a tick of the kernel's: a second is plenty."""


async def read(
    path: Path,
    *,
    since: int = 0,
    until: int = 0,
    tail: int = -1,
    follow: bool = False,
    stdout: bool = True,
    stderr: bool = True,
    ended: asyncio.Event | None = None,
) -> AsyncGenerator[LogLine, None]:
    """The lines of the log whose active file is ``path``, oldest first.

    ``since`` and ``until`` are ns since the epoch, 0 for none. ``tail`` takes the last so many lines of the whole log
    (-1: all) before the other conditions select among them, as dockerd does. With ``follow`` new lines come as they
    are written, until ``until`` has passed or until ``ended`` is set and all is read; without ``ended``, for ever.
    Close the iterator to stop earlier. Raises OSError.
    """
    batches = read_batches(
        path, since=since, until=until, tail=tail, follow=follow, stdout=stdout, stderr=stderr, ended=ended
    )
    async with aclosing(batches):
        async for batch in batches:
            for line in batch:
                yield line


async def read_batches(
    path: Path,
    *,
    since: int = 0,
    until: int = 0,
    tail: int = -1,
    follow: bool = False,
    stdout: bool = True,
    stderr: bool = True,
    ended: asyncio.Event | None = None,
) -> AsyncGenerator[list[LogLine], None]:
    """The same as ``read``, as many lines at a time as there are (some hundreds at most): for whoever sends them on."""
    streams = frozenset(name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted)
    batches = _batches(path, since=since, until=until, tail=tail, follow=follow, ended=ended)
    async with aclosing(batches):
        async for batch in batches:
            in_time = list(itertools.takewhile(lambda line: line.time_ns <= until, batch)) if until else batch
            if selected := [line for line in in_time if line.time_ns >= since and line.stream in streams]:
                yield selected
            if len(in_time) < len(batch):
                return


async def _batches(
    path: Path,
    *,
    since: int,
    until: int,
    tail: int,
    follow: bool,
    ended: asyncio.Event | None,
) -> AsyncGenerator[list[LogLine], None]:
    with contextlib.ExitStack() as opened:
        generations = await asyncio.to_thread(open_generations, path)
        for generation in generations:
            opened.callback(generation.close)
        starts = await asyncio.to_thread(_starts, generations, tail)
        wanted = [generation for generation, _ in starts]
        for generation in generations:
            if generation not in wanted:
                generation.close()
        growing = starts.pop() if follow and starts else None
        for generation, start in starts:
            if generation.modified_ns >= since - COARSE_CLOCK_NS:
                reader = LineReader(generation, start, generation.size)
                while (batch := await asyncio.to_thread(_batch, reader)) is not None:
                    yield batch
                last = parse_line(reader.rest())
                if last is not None:
                    yield [last]
            generation.close()  # at once: the writer keeps it for us
        if follow:
            async with aclosing(_follow(path, growing, until, ended)) as batches:
                async for batch in batches:
                    yield batch


def _starts(generations: list[Generation], tail: int) -> list[tuple[Generation, int]]:
    """Which generations to read, oldest first, and from where, so that ``tail`` lines come out."""
    if tail < 0:
        return [(generation, 0) for generation in generations]
    starts: list[tuple[Generation, int]] = []
    for generation in reversed(generations):
        start, found = generation.tail_start(tail)
        starts.append((generation, start))
        tail -= found
        if tail == 0:
            break
    return starts[::-1]


def _batch(reader: LineReader) -> list[LogLine] | None:
    raw = reader.lines()
    if raw is None:
        return None
    return [line for text in raw if text and (line := parse_line(text)) is not None]


async def _follow(
    path: Path,
    growing: tuple[Generation, int] | None,
    until: int,
    ended: asyncio.Event | None,
) -> AsyncGenerator[list[LogLine], None]:
    with DirectoryWatch(path.parent) as watch, contextlib.closing(_Follower(path, growing)) as follower:
        waker = asyncio.create_task(_wake_at(ended, watch), name="log end") if ended is not None else None
        try:
            while True:
                finished = ended is not None and ended.is_set()
                async with aclosing(follower.available()) as batches:
                    async for batch in batches:
                        watch.progress()
                        yield batch
                if finished or (until and now_ns() > until):
                    return
                await watch.changed(max(0, until - now_ns()) / 1e9 if until else None)
        finally:
            if waker is not None:
                waker.cancel()


async def _wake_at(ended: asyncio.Event, watch: DirectoryWatch) -> None:
    await ended.wait()
    watch.wake()


class _Follower:
    """Reads on from ``growing`` (a file and a position in it), from file to file; owns the files it turns to."""

    def __init__(self, path: Path, growing: tuple[Generation, int] | None) -> None:
        self._path = path
        self._reader: LineReader | None = None
        self._begun_ns: float = 0
        self._opened_ns = 0
        if growing is not None:
            self._turn_to(LineReader(*growing))

    def close(self) -> None:
        """Close the present file."""
        if self._reader is not None:
            self._reader.generation.close()

    async def available(self) -> AsyncGenerator[list[LogLine], None]:
        """Everything that can be read now, over all files."""
        moved = True
        while moved:
            replaced = self._reader is None or current_key(self._path) != self._reader.generation.key
            # What was written before the file was replaced is still in it: read it once more after having noticed.
            while self._reader is not None and (batch := _batch(self._reader)) is not None:
                if batch:
                    self._begun_ns = self._begun_ns or batch[0].time_ns
                    yield batch
                await asyncio.sleep(0)
            moved = replaced and await asyncio.to_thread(self._advance)

    def _advance(self) -> bool:
        """Turn to the file that was begun after the present one, if there is one."""
        generations = open_generations(self._path)
        successor = self._successor(generations)
        for generation in generations:
            if generation is not successor:
                generation.close()
        if successor is None:
            return False
        self._turn_to(LineReader(successor))
        return True

    def _turn_to(self, reader: LineReader) -> None:
        self.close()
        self._reader = reader
        self._begun_ns = self._beginning()
        self._opened_ns = now_ns()

    def _successor(self, generations: list[Generation]) -> Generation | None:
        if self._reader is None:
            return generations[0] if generations else None
        keys = [generation.key for generation in generations]
        if self._reader.generation.key in keys:
            later = generations[keys.index(self._reader.generation.key) + 1 :]
        else:
            # It was removed or compressed: only the time of its first line tells its place in the row.
            begun = self._begun_ns or self._opened_ns
            later = [generation for generation in generations if _begun_ns(generation) > begun]
        return later[0] if later else None

    def _beginning(self) -> float:
        """When the first line of the present file was written; 0 while it has none."""
        begun = _begun_ns(self._reader.generation) if self._reader is not None else math.inf
        return 0 if begun == math.inf else begun


def _begun_ns(generation: Generation) -> float:
    """When the first line of ``generation`` was written; infinite while it has none, for then it is the newest."""
    first, newline, _ = generation.read_at(0, BLOCK).partition(b"\n")
    line = parse_line(first.lstrip(b"\0")) if newline else None
    return math.inf if line is None else line.time_ns
