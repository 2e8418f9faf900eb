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
from pathlib import Path

from wherry.lib.errors import InvalidArgument
from wherry.linux import trees
from wherry.linux.copying import Links, Owner, copy_entry, copy_metadata, same_owner, wait_for_disk

POPULATING = "_populating"
POPULATED = "_populated"
DEPTH_MAX = 128
"""Directories inside each other; every level costs two descriptors."""


def copy_up(source: int, volume: str | os.PathLike[str], owner: Owner = same_owner) -> bool:
    """Copy the directory that ``source`` is open on into the empty ``volume`` (a ``_data`` directory).

    ``owner`` gives the volume's ids for those of the image, ValueError for one that has none.
    False, and nothing done, when the volume is not empty. Waits for the disk: call it on a thread. Raises OSError,
    and InvalidArgument for a tree deeper than ``DEPTH_MAX``; the volume is empty then.
    """
    owner = _explained(owner)
    target = os.open(volume, trees.DIRECTORY)
    try:
        if os.listdir(target):
            return False
        if os.listdir(source):
            _stage(source, Path(volume).parent, owner)
            finish_population(Path(volume))
        copy_metadata(source, target, owner)
        os.fsync(target)
    finally:
        os.close(target)
    return True


def finish_population(volume: Path) -> None:
    """Complete or throw away what a crash left beside ``volume``. Raises OSError."""
    trees.remove_tree(str(volume.parent / POPULATING))
    populated = volume.parent / POPULATED
    with contextlib.suppress(FileNotFoundError):
        source, target = os.open(populated, trees.DIRECTORY), os.open(volume, trees.DIRECTORY)
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
    target = os.open(staging, trees.DIRECTORY)
    try:
        _Copy(target, owner).directory(source, target, ())
        wait_for_disk(target, staging)
    except BaseException:
        trees.remove_tree(str(staging))
        raise
    finally:
        os.close(target)
    staging.rename(beside / POPULATED)


class _Copy:
    """One copy of a tree to below the directory ``top``."""

    def __init__(self, top: int, owner: Owner) -> None:
        self._owner = owner
        self._links = Links(top)

    def directory(self, source: int, target: int, path: tuple[str, ...]) -> None:
        """Copy everything in ``source`` into ``target``, which is ``path`` below the top."""
        if len(path) > DEPTH_MAX:
            raise InvalidArgument(f"more than {DEPTH_MAX} directories inside each other: {'/'.join(path)[:200]}…")
        for name in os.listdir(source):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._subdirectory(source, target, (*path, name))
            elif not self._links.made(status, target, "/".join((*path, name))):
                copy_entry(source, target, name, status, self._owner)

    def _subdirectory(self, source: int, target: int, path: tuple[str, ...]) -> None:
        name = path[-1]
        inner_source = os.open(name, trees.DIRECTORY, dir_fd=source)
        try:
            os.mkdir(name, 0o700, dir_fd=target)
            inner_target = os.open(name, trees.DIRECTORY, dir_fd=target)
            try:
                self.directory(inner_source, inner_target, path)
                copy_metadata(inner_source, inner_target, self._owner)
            finally:
                os.close(inner_target)
        finally:
            os.close(inner_source)


def _explained(owner: Owner) -> Owner:
    """``owner``, whose ValueError for an id that has none becomes InvalidArgument."""

    def owned(uid: int, gid: int) -> tuple[int, int]:
        try:
            return owner(uid, gid)
        except ValueError as error:
            raise InvalidArgument(f"a file of the image cannot be copied to a volume: {error}") from None

    return owned
