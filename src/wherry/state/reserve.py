"""Room set aside on the disk of the state: when the disk is full, what frees room must still be recorded.

    <data-root>/reserve/0 … 15    files of zeros, 4 MiB together, where the disk is not a tiny one

A write that finds no room gives one of them up and is tried again; they are filled up again once there is room enough.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PIECES = 16
PIECE = 256 * 1024
"""Bytes: 64 pages of the write-ahead log, more than any one transaction of ours takes."""
SHARE = 4
"""So many times the whole reserve must be free before anything is set aside."""


class Reserve:
    """The pieces below one directory. Blocking; one user at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fill(self) -> None:
        """Set aside what is missing, if the disk has room; if not, another time."""
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, exist_ok=True)
            room = os.statvfs(self._directory)
            if room.f_bavail * room.f_frsize < SHARE * PIECES * PIECE:
                return
            for number in range(PIECES):
                self._make(self._directory / str(number))

    def spend(self) -> bool:
        """Give one piece up; False when there is none."""
        for number in range(PIECES):
            try:
                os.unlink(self._directory / str(number))
            except OSError:
                continue
            return True
        return False

    @staticmethod
    def _make(path: Path) -> None:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return
        try:
            os.posix_fallocate(fd, 0, PIECE)
        finally:
            os.close(fd)
