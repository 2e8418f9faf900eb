"""Waiting for a directory to change: inotify, or polling with a growing pause where inotify is not to be had."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

IN_MODIFY = 0x00000002
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_ONLYDIR = 0x01000000

SAFETY_S = 1.0
"""Look anyway after so long: some file systems report nothing."""
POLL_FIRST_S = 0.01
POLL_LONGEST_S = 0.5

_log = logging.getLogger(__name__)


class DirectoryWatch:
    """Wakes its waiter when a file in ``directory`` is written, made or renamed; a context manager.

    ``wake`` may be called from outside to end the wait.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changed = asyncio.Event()
        self._descriptor = -1
        self._pause = POLL_FIRST_S

    def __enter__(self) -> Self:
        try:
            self._descriptor = _watch(self._directory)
        except OSError as error:
            _log.debug("polling %s, it cannot be watched: %s", self._directory, error)
            return self
        asyncio.get_running_loop().add_reader(self._descriptor, self._drain)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def wake(self) -> None:
        """End the wait."""
        self._changed.set()

    async def changed(self, at_most_s: float | None = None) -> None:
        """Return when something may have changed since the last return, or after ``at_most_s``."""
        pause = SAFETY_S if self._descriptor >= 0 else self._pause
        try:
            async with asyncio.timeout(pause if at_most_s is None else min(pause, at_most_s)):
                await self._changed.wait()
        except TimeoutError:
            self._pause = min(self._pause * 2, POLL_LONGEST_S)
        self._changed.clear()

    def progress(self) -> None:
        """Say that there was something to read: poll quickly again."""
        self._pause = POLL_FIRST_S

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 64 * 1024)
        self._changed.set()


def _watch(directory: Path) -> int:
    """An inotify descriptor that watches ``directory``. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), f"inotify_init1: {os.strerror(ctypes.get_errno())}")
    if libc.inotify_add_watch(descriptor, os.fsencode(directory), IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR) < 0:
        failure = ctypes.get_errno()
        os.close(descriptor)
        raise OSError(failure, f"inotify_add_watch {directory}: {os.strerror(failure)}")
    return descriptor
