"""A whole file system out of merged layers: every file copied, with its links, attributes, holes and times."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from wherry.lib.errors import Unavailable
from wherry.linux.copying import copy_attributes, copy_data
from wherry.linux.syscalls import c_int, check, function
from wherry.linux.trees import DEPTH_MAX, DIRECTORY
from wherry.snapshots.merged import Merged

_syncfs = function("syncfs", c_int)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CopyStopped(Exception):
    """The caller gave up."""


def copy_layers(layers: Sequence[str], target: str, stopped: Callable[[], bool] = lambda: False) -> None:
    """Copy ``layers`` (top first) merged into the empty directory ``target``, and wait until it is on disk.

    Raises OSError, CopyStopped, and Unavailable for directories nested deeper than ``DEPTH_MAX``.
    """
    top = os.open(target, DIRECTORY)
    try:
        with Merged.open(layers) as source:
            _Copy(top, stopped).directory(source, top, "")
            copy_metadata(source.top, top)
        check(_syncfs(top), "syncfs", target)
    finally:
        os.close(top)


class _Copy:
    """One copy below the directory ``top``; knows the files with several names."""

    def __init__(self, top: int, stopped: Callable[[], bool]) -> None:
        self._top = top
        self._stopped = stopped
        self._links: dict[tuple[int, int], str] = {}

    def directory(self, source: Merged, target: int, path: str) -> None:
        """Copy everything in ``source`` into ``target``; ``path`` is where that is below the top, with a slash."""
        if path.count("/") > DEPTH_MAX:
            raise Unavailable(f"the native storage driver copies at most {DEPTH_MAX} directories inside each other")
        for name, (fd, found) in source.entries().items():
            if self._stopped():
                raise CopyStopped
            if stat.S_ISDIR(found.st_mode):
                with source.below(name) as inner:
                    self._subdirectory(inner, target, name, f"{path}{name}/")
            elif not self._linked(found, target, path, name):
                copy_entry(fd, target, name, found)

    def _subdirectory(self, source: Merged, above: int, name: str, path: str) -> None:
        os.mkdir(name, 0o700, dir_fd=above)
        target = os.open(name, DIRECTORY, dir_fd=above)
        try:
            self.directory(source, target, path)
            copy_metadata(source.top, target)
        finally:
            os.close(target)

    def _linked(self, found: os.stat_result, target: int, path: str, name: str) -> bool:
        """Make ``name`` another name of a file copied before. The top is ours alone, so a path is safe in it."""
        if found.st_nlink == 1:
            return False
        own = path + name
        first = self._links.setdefault((found.st_dev, found.st_ino), own)
        if first == own:
            return False
        os.link(first, name, src_dir_fd=self._top, dst_dir_fd=target, follow_symlinks=False)
        return True


def copy_entry(source: int, target: int, name: str, found: os.stat_result) -> None:
    """Copy what is not a directory."""
    if stat.S_ISREG(found.st_mode):
        _copy_file(source, target, name)
        return
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev, dir_fd=target)
    os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=target)
    os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str) -> None:
    reading = os.open(name, _READ, dir_fd=source)
    try:
        writing = os.open(name, _NEW, 0o600, dir_fd=target)
        try:
            copy_data(reading, writing)
            copy_metadata(reading, writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def copy_metadata(source: int, target: int) -> None:
    """Owner first: changing it clears capabilities and set-user-id bits. Times last."""
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    copy_attributes(source, target)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
