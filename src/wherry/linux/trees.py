"""Whole directory trees, walked by descriptor: no path is looked up twice, no symbolic link followed.

The trees are what programs in containers left, so they may be deeper than a path can be long or a stack can hold.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DEPTH_MAX = 128
"""Descriptors held at once. Deeper directories are moved up before they are removed, and not counted by ``usage``."""


def look(directory: int, name: str | bytes) -> os.stat_result | None:
    """What ``name`` in ``directory`` is, itself and not where it leads; None when it is gone. Raises OSError."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


class RemovalStopped(Exception):
    """The caller of ``remove_tree`` gave up; some of the tree is left."""

    def __str__(self) -> str:
        return "there was no time for it"


def remove_tree(path: str, stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove ``path`` and all below it; nothing there is success, and so is what somebody else removes meanwhile.

    Raises OSError naming what would not go, RemovalStopped.
    """
    try:
        top = os.open(path, DIRECTORY)
    except FileNotFoundError:
        return
    try:
        while names := os.listdir(top):
            _remove_below(top, names, stopped)
    finally:
        os.close(top)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)


def remove_at(directory: int, name: bytes) -> None:
    """Remove the entry ``name`` of ``directory``, whatever it is, with all below it. Raises OSError."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        top = os.open(name, DIRECTORY, dir_fd=directory)
        try:
            while names := os.listdir(top):
                _remove_below(top, names)
        finally:
            os.close(top)
        os.rmdir(name, dir_fd=directory)


def _remove_below(top: int, names: list[str], stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove the entries ``names`` of ``top``; what lies too deep is moved into ``top`` under a fresh name instead."""
    moved = 0
    stack: list[tuple[int, Iterator[str], str]] = [(top, iter(names), "")]
    try:
        while stack:
            fd, entries, own = stack[-1]
            directory = _remove_files(fd, entries, stopped)
            if directory is None:
                stack.pop()
                if stack:
                    os.close(fd)
                    _remove_empty(own, stack[-1][0])
            elif len(stack) > DEPTH_MAX:
                moved += 1
                os.rename(directory, _fresh(top, moved), src_dir_fd=fd, dst_dir_fd=top)
            else:
                with contextlib.suppress(FileNotFoundError):
                    below = os.open(directory, DIRECTORY, dir_fd=fd)
                    stack.append((below, iter(os.listdir(below)), directory))
    finally:
        for fd, _, _ in stack[1:]:
            os.close(fd)


def _remove_empty(name: str, directory: int) -> None:
    """Remove a directory that was emptied; if somebody has put something there meanwhile, the next look finds it."""
    try:
        os.rmdir(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise


def _remove_files(fd: int, entries: Iterator[str], stopped: Callable[[], bool]) -> str | None:
    """Unlink entries until one is a directory, which is returned; None when all are gone."""
    for name in entries:
        if stopped():
            raise RemovalStopped
        try:
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            continue
        except IsADirectoryError:
            return name
    return None


def _fresh(top: int, number: int) -> str:
    while True:
        name = f".deep-{number}-{os.urandom(4).hex()}"
        if look(top, name) is None:
            return name


def usage(path: str) -> int:
    """Bytes in the files below ``path``, hard links counted once, directories not, as ``docker ps -s`` counts them.

    The tree may change meanwhile; what is gone when its turn comes counts nothing.
    """
    total = 0
    seen: set[tuple[int, int]] = set()
    stack = [os.open(path, DIRECTORY)]
    paths = [iter(_entries(stack[0]))]
    try:
        while stack:
            entry = next(paths[-1], None)
            if entry is None:
                paths.pop()
                os.close(stack.pop())
                continue
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found = os.stat(entry, dir_fd=stack[-1], follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    if len(stack) <= DEPTH_MAX:
                        stack.append(os.open(entry, DIRECTORY, dir_fd=stack[-1]))
                        paths.append(iter(_entries(stack[-1])))
                elif found.st_nlink == 1 or (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    total += found.st_size
    finally:
        for fd in stack:
            os.close(fd)
    return total


def _entries(fd: int) -> list[str]:
    return os.listdir(fd)
