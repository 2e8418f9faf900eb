"""Directories for snapshots, made ahead: on a large ext4 a mkdir takes milliseconds, and a container waits for three.

One thread of this object's own makes them; ``take`` hands the oldest out and has another made. None is used twice: a
mount that somebody forgot may still hold the old one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

AHEAD = 8


class Spares:
    """Empty snapshot directories below ``root``, numbered from ``first`` on."""

    def __init__(self, root: Path, first: int) -> None:
        self._root = root
        self._next = first
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot-spares")
        self._ahead: deque[Future[int]] = deque()

    def fill(self) -> None:
        """Have directories made until there are enough."""
        while len(self._ahead) < AHEAD:
            self._ahead.append(self._thread.submit(make_directories, self._root, self._next))
            self._next += 1

    async def take(self) -> int:
        """The number of an empty snapshot directory, the caller's from now on. Raises OSError."""
        self.fill()
        future = self._ahead.popleft()
        if not future.done():
            try:
                await asyncio.shield(asyncio.wrap_future(future))
            except asyncio.CancelledError:
                self._ahead.appendleft(future)
                raise
        self.fill()
        return future.result()

    def numbers(self) -> set[int]:
        """Those that are made, or being made, and belong to nobody yet."""
        return set(range(self._next - len(self._ahead), self._next))

    def close(self) -> None:
        """Make no more and remove those that nobody took, waiting."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        for future in self._ahead:
            if not future.cancelled() and future.exception() is None:
                remove_directories(self._root, future.result())
        self._ahead.clear()


def make_directories(root: Path, number: int) -> int:
    """Make the directory of snapshot ``number``, or what of it is missing."""
    own = f"{root}/{number}"
    for path, mode in ((own, 0o700), (f"{own}/fs", 0o755), (f"{own}/work", 0o700)):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        os.chmod(path, mode)  # whatever the daemon's umask: "fs" is the root directory of the container
    return number


def remove_directories(root: Path, number: int) -> None:
    """Remove an unused snapshot directory."""
    for name in ("fs", "work", ""):
        with contextlib.suppress(OSError):
            os.rmdir(f"{root}/{number}/{name}")
