"""What a copied file system changed of the layers it was copied from, as the upper directory of an overlay says it.

An entry is unchanged when all that stat(2) says is as below and its ctime, which no program can set, is older than the
end of the copy; where only the ctime is newer, attributes and content decide. Changed files are put into the result by
hard link, so it costs no space and lives where the copy does.
"""

from __future__ import annotations

import os
import stat

from wherry.linux.copying import copy_metadata
from wherry.linux.overlay_form import kept_xattrs, make_whiteout
from wherry.linux.trees import DIRECTORY, look
from wherry.snapshots.merged import Merged

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


def build_changes(own: int, below: Merged, since_ns: int, target: int) -> None:
    """Fill the empty directory ``target`` with what ``own`` has that ``below`` has not, and whiteouts for the reverse.

    ``since_ns`` is when the copy ended. Raises OSError; what vanishes meanwhile counts as never there.
    """
    place = _Place(None, "", own, target)
    _Comparison(since_ns).directory(own, below, place)
    copy_metadata(own, target)


class _Place:
    """Where a directory's changes go: made, with all above it, when there is one."""

    def __init__(self, above: _Place | None, name: str, source: int, fd: int = -1) -> None:
        self._above = above
        self._name = name
        self._source = source
        self._fd = fd

    def fd(self) -> int:
        """The directory, made like its source."""
        if self._fd < 0 and self._above is not None:
            above = self._above.fd()
            os.mkdir(self._name, 0o700, dir_fd=above)
            self._fd = os.open(self._name, DIRECTORY, dir_fd=above)
        return self._fd

    def close(self) -> None:
        """Nothing more comes."""
        if self._fd >= 0:
            copy_metadata(self._source, self._fd)
            os.close(self._fd)


class _Comparison:
    def __init__(self, since_ns: int) -> None:
        self._since_ns = since_ns

    def directory(self, own: int, below: Merged | None, place: _Place) -> None:
        """Compare one directory with what lies below it; None: it is new."""
        before = below.entries() if below is not None else {}
        for name in sorted(os.listdir(own)):
            found = look(own, name)
            if found is None:
                continue
            was = before.pop(name, None)
            if stat.S_ISDIR(found.st_mode):
                self._subdirectory(own, name, below if was and stat.S_ISDIR(was[1].st_mode) else None, place)
            elif was is None or not self._same(own, name, found, *was):
                os.link(name, name, src_dir_fd=own, dst_dir_fd=place.fd(), follow_symlinks=False)
        for name in before:
            make_whiteout(place.fd(), name)

    def _subdirectory(self, above: int, name: str, below: Merged | None, place: _Place) -> None:
        fd = os.open(name, DIRECTORY, dir_fd=above)
        inner = _Place(place, name, fd)
        try:
            if below is None:
                inner.fd()
                self.directory(fd, None, inner)
                return
            with below.below(name) as merged:
                if not _same_owner(os.fstat(fd), os.fstat(merged.top)) or kept_xattrs(fd) != kept_xattrs(merged.top):
                    inner.fd()
                self.directory(fd, merged, inner)
        finally:
            inner.close()
            os.close(fd)

    def _same(self, own: int, name: str, found: os.stat_result, above: int, was: os.stat_result) -> bool:
        if not _same_owner(found, was) or found.st_rdev != was.st_rdev or found.st_mtime_ns != was.st_mtime_ns:
            return False
        if stat.S_ISLNK(found.st_mode):
            return os.readlink(name, dir_fd=own) == os.readlink(name, dir_fd=above)
        if not stat.S_ISREG(found.st_mode):
            return True
        if found.st_size != was.st_size:
            return False
        return found.st_ctime_ns < self._since_ns or _same_content(own, above, name)


def _same_owner(found: os.stat_result, was: os.stat_result) -> bool:
    return (found.st_mode, found.st_uid, found.st_gid) == (was.st_mode, was.st_uid, was.st_gid)


def _same_content(own: int, above: int, name: str) -> bool:
    one = os.open(name, _READ, dir_fd=own)
    try:
        other = os.open(name, _READ, dir_fd=above)
        try:
            return kept_xattrs(one) == kept_xattrs(other) and _same_bytes(one, other)
        finally:
            os.close(other)
    finally:
        os.close(one)


def _same_bytes(one: int, other: int) -> bool:
    at = 0
    while data := os.pread(one, _CHUNK, at):
        if data != os.pread(other, len(data), at):
            return False
        at += len(data)
    return True
