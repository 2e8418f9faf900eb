"""A new volume gets what the image has at its place: ownership, modes, times, extended attributes, links and all.

The image is hostile and the volume may already be seen by another container. So both trees are walked by descriptor,
no symbolic link is followed, nothing special is opened, and the copy is made beside the volume's data, where no
container looks:

    copy into _populating  →  sync  →  rename to _populated  →  move every entry into _data  →  rmdir _populated

A crash before the rename leaves an empty volume, one after it leaves what ``finish_population`` completes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from wherry.lib.errors import InvalidArgument
from wherry.linux import trees
from wherry.linux.copying import copy_attributes, copy_data
from wherry.linux.syscalls import c_int, check, function

POPULATING = "_populating"
POPULATED = "_populated"
DEPTH_MAX = 128
"""Directories inside each other; every level costs two descriptors."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_syncfs = function("syncfs", c_int)


Owner = Callable[[int, int], tuple[int, int]]
"""The volume's ids for a uid and a gid of the image; ValueError for one that has none."""


def same_owner(uid: int, gid: int) -> tuple[int, int]:
    """The image's ids are the host's."""
    return uid, gid


def copy_up(source: int, volume: str | os.PathLike[str], owner: Owner = same_owner) -> bool:
    """Copy the directory that ``source`` is open on into the empty ``volume`` (a ``_data`` directory).

    False, and nothing done, when the volume is not empty. Waits for the disk: call it on a thread. Raises OSError,
    and InvalidArgument for a tree deeper than ``DEPTH_MAX``; the volume is empty then.
    """
    target = os.open(volume, _DIRECTORY)
    try:
        if os.listdir(target):
            return False
        if os.listdir(source):
            _stage(source, Path(volume).parent, owner)
            finish_population(Path(volume))
        _copy_metadata(source, target, owner)
        os.fsync(target)
    finally:
        os.close(target)
    return True


def finish_population(volume: Path) -> None:
    """Complete or throw away what a crash left beside ``volume``. Raises OSError."""
    trees.remove_tree(str(volume.parent / POPULATING))
    populated = volume.parent / POPULATED
    with contextlib.suppress(FileNotFoundError):
        source, target = os.open(populated, _DIRECTORY), os.open(volume, _DIRECTORY)
        try:
            for name in os.listdir(source):
                os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
            os.fsync(target)
        finally:
            os.close(source)
            os.close(target)
        populated.rmdir()


def _stage(source: int, beside: Path, owner: Owner) -> None:
    staging = beside / POPULATING
    trees.remove_tree(str(staging))
    staging.mkdir(mode=0o700)
    target = os.open(staging, _DIRECTORY)
    try:
        _Copy(target, owner).directory(source, target, ())
        # One call for all files: a sync of each costs half a millisecond.
        check(_syncfs(target), "syncfs", staging)
    except BaseException:
        trees.remove_tree(str(staging))
        raise
    finally:
        os.close(target)
    staging.rename(beside / POPULATED)


class _Copy:
    """One copy of a tree to below the directory ``top``; knows the files with several names."""

    def __init__(self, top: int, owner: Owner) -> None:
        self._top = top
        self._owner = owner
        self._links: dict[tuple[int, int], str] = {}

    def directory(self, source: int, target: int, path: tuple[str, ...]) -> None:
        """Copy everything in ``source`` into ``target``, which is ``path`` below the top."""
        if len(path) > DEPTH_MAX:
            raise InvalidArgument(f"more than {DEPTH_MAX} directories inside each other: {'/'.join(path)[:200]}…")
        for name in os.listdir(source):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._subdirectory(source, target, (*path, name))
            elif not self._linked(status, target, path, name):
                _copy_entry(source, target, name, status, self._owner)

    def _subdirectory(self, source: int, target: int, path: tuple[str, ...]) -> None:
        name = path[-1]
        inner_source = os.open(name, _DIRECTORY, dir_fd=source)
        try:
            os.mkdir(name, 0o700, dir_fd=target)
            inner_target = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.directory(inner_source, inner_target, path)
                _copy_metadata(inner_source, inner_target, self._owner)
            finally:
                os.close(inner_target)
        finally:
            os.close(inner_source)

    def _linked(self, status: os.stat_result, target: int, path: tuple[str, ...], name: str) -> bool:
        """Make ``name`` another name of a file copied before. The top is ours alone, so a path is safe in it."""
        if status.st_nlink == 1:
            return False
        first = self._links.setdefault((status.st_dev, status.st_ino), "/".join((*path, name)))
        if first == "/".join((*path, name)):
            return False
        os.link(first, name, src_dir_fd=self._top, dst_dir_fd=target, follow_symlinks=False)
        return True


def _copy_entry(source: int, target: int, name: str, status: os.stat_result, owner: Owner) -> None:
    """Copy what is not a directory."""
    if stat.S_ISREG(status.st_mode):
        _copy_file(source, target, name, owner)
        return
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
    os.chown(name, *_owned(status, owner), dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str, owner: Owner) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        writing = os.open(name, flags, 0o600, dir_fd=target)
        try:
            copy_data(reading, writing)
            _copy_metadata(reading, writing, owner)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_metadata(source: int, target: int, owner: Owner) -> None:
    """Owner first: changing it clears capabilities and set-user-id bits. Times last."""
    status = os.fstat(source)
    os.fchown(target, *_owned(status, owner))
    copy_attributes(source, target)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _owned(status: os.stat_result, owner: Owner) -> tuple[int, int]:
    try:
        return owner(status.st_uid, status.st_gid)
    except ValueError as error:
        raise InvalidArgument(f"a file of the image cannot be copied to a volume: {error}") from None
