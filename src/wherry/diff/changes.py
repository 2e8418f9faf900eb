"""``docker diff``: what a snapshot's directory changed, as a list of paths. Pure but for reading the two trees.

Docker's rules (it compares the merged trees): a file is changed when its kind, mode, owner, device, size, time or file
capability is another; a directory also when anything below it is; what is removed with its directory is not listed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol, Self

from wherry.diff.treetar import listed
from wherry.linux.overlay_form import CAPABILITY_XATTR, is_opaque, is_whiteout
from wherry.linux.trees import DIRECTORY, look

CHANGED, ADDED, DELETED = 0, 1, 2
DEPTH_MAX = 400

Change = tuple[bytes, int]
"""Absolute path, and what happened."""


class Below(Protocol):
    """A directory of what lies below, merged."""

    def entries(self) -> dict[str, tuple[int, os.stat_result]]:
        """What is in it: by name the directory that holds it, and what it is."""

    def below(self, name: str) -> AbstractContextManager[Self]:
        """A directory in it."""


def changes_of(directory: str, below: Below) -> list[Change]:
    """What ``directory``, in overlayfs' form, changed of the tree ``below``, by path. Blocking. Raises OSError."""
    fd = os.open(directory, DIRECTORY)
    try:
        return list(_directory(fd, below, b"", 0, hides=False))
    finally:
        os.close(fd)


def _directory(fd: int, below: Below | None, path: bytes, depth: int, *, hides: bool) -> Iterator[Change]:
    """The changes in one directory; ``hides``: nothing of the one below shows through."""
    old = below.entries() if below is not None else {}
    names = listed(fd)
    gone = [os.fsencode(name) for name in old] if hides else []
    for name in sorted({*names, *gone}):
        text = os.fsdecode(name)
        before = old.get(text)
        found = look(fd, name)
        if found is None or is_whiteout(found):
            if before is not None:
                yield path + b"/" + name, DELETED
        elif stat.S_ISDIR(found.st_mode):
            yield from _subdirectory(fd, name, below, before, path, depth=depth)
        elif before is None:
            yield path + b"/" + name, ADDED
        elif _differs(fd, name, found, before):
            yield path + b"/" + name, CHANGED


def _subdirectory(
    above: int, name: bytes, below: Below | None, before: tuple[int, os.stat_result] | None, path: bytes, *, depth: int
) -> Iterator[Change]:
    own = path + b"/" + name
    if depth > DEPTH_MAX:
        return
    try:
        fd = os.open(name, DIRECTORY, dir_fd=above)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if before is None or below is None:
            yield own, ADDED
            yield from _directory(fd, None, own, depth + 1, hides=False)
            return
        changed = _differs(above, name, os.fstat(fd), before)
        if stat.S_ISDIR(before[1].st_mode):
            with below.below(os.fsdecode(name)) as inner:
                inside = list(_directory(fd, inner, own, depth + 1, hides=is_opaque(fd)))
        else:
            inside = list(_directory(fd, None, own, depth + 1, hides=False))
        if changed or inside:
            yield own, CHANGED
        yield from inside
    finally:
        os.close(fd)


def _differs(fd: int, name: bytes, new: os.stat_result, before: tuple[int, os.stat_result]) -> bool:
    holder, old = before
    if (new.st_mode, new.st_uid, new.st_gid, new.st_rdev) != (old.st_mode, old.st_uid, old.st_gid, old.st_rdev):
        return True
    if stat.S_ISDIR(new.st_mode):
        return False
    if new.st_size != old.st_size or not _same_time(new.st_mtime_ns, old.st_mtime_ns):
        return True
    return stat.S_ISREG(new.st_mode) and _capability(fd, name) != _capability(holder, name)


def _same_time(one: int, other: int) -> bool:
    """Layers hold whole seconds: a time without a fraction is any of its second."""
    second = 1_000_000_000
    return one == other or (one // second == other // second and 0 in (one % second, other % second))


def _capability(fd: int, name: bytes) -> bytes:
    try:
        return os.getxattr(f"/proc/self/fd/{fd}/{os.fsdecode(name)}", CAPABILITY_XATTR, follow_symlinks=False)
    except OSError:
        return b""
