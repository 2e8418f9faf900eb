"""Tar members of what lies on disk, taken by descriptor: whoever changes the tree meanwhile leads us nowhere else.

Times are whole seconds and extended attributes are those that Docker keeps, so that the same tree gives the same bytes.
What is gone when its turn comes is left out, as are sockets.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from wherry.diff.tar import BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, LINK, REGULAR, SYMLINK, Entry
from wherry.diff.tarwriter import header, padding
from wherry.linux.overlay_form import CAPABILITY_XATTR, kept_xattrs

CHUNK = 1024 * 1024
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFREG: REGULAR,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
_CAPABILITY_2 = b"\x02"
"""Last byte of the magic, little-endian: revision 2."""
_CAPABILITY_3_SIZE, _CAPABILITY_2_SIZE = 24, 20


class TreeTar:
    """The members of one archive; remembers which files have several names."""

    def __init__(self) -> None:
        self._links: dict[tuple[int, int], bytes] = {}

    def directory(self, fd: int, path: bytes) -> bytes:
        """The member of the open directory ``fd``."""
        return header(_entry(path, os.fstat(fd), DIRECTORY, xattrs=_xattrs(fd)))

    def other(self, above: int, name: bytes, path: bytes) -> Iterator[bytes]:
        """The member of ``name`` in the directory ``above``, which is no directory; nothing if that has changed."""
        try:
            fd = os.open(name, _LOOK, dir_fd=above)
        except FileNotFoundError:
            return
        try:
            found = os.fstat(fd)
            kind = _KINDS.get(stat.S_IFMT(found.st_mode))
            if kind is None:
                return
            if found.st_nlink > 1:
                first = self._links.setdefault((found.st_dev, found.st_ino), path)
                if first != path:
                    yield header(_entry(path, found, LINK, link=first))
                    return
            if kind == REGULAR:
                yield from _regular(fd, path)
            elif kind == SYMLINK:
                yield header(_entry(path, found, kind, link=os.readlink(b"", dir_fd=fd)))
            else:
                yield header(_entry(path, found, kind))
        finally:
            os.close(fd)


def seconds(found: os.stat_result) -> int:
    """The time of the last change of the data, without its fraction, in ns."""
    return found.st_mtime_ns // 1_000_000_000 * 1_000_000_000


def listed(fd: int) -> list[bytes]:
    """The names in a directory, sorted as bytes."""
    return sorted(os.fsencode(name) for name in os.listdir(fd))


def _regular(looked: int, path: bytes) -> Iterator[bytes]:
    # What was looked at is a regular file, and opening it by its descriptor opens no other.
    fd = os.open(f"/proc/self/fd/{looked}", _READ)
    try:
        found = os.fstat(fd)
        yield header(_entry(path, found, REGULAR, size=found.st_size, xattrs=_xattrs(fd)))
        left = found.st_size
        while left:
            data = os.read(fd, min(left, CHUNK))
            if not data:
                data = bytes(min(left, CHUNK))  # it shrank meanwhile; the header has promised its size
            left -= len(data)
            yield data
        if rest := padding(found.st_size):
            yield rest
    finally:
        os.close(fd)


def _entry(
    path: bytes,
    found: os.stat_result,
    kind: bytes,
    *,
    link: bytes = b"",
    size: int = 0,
    xattrs: dict[bytes, bytes] | None = None,
) -> Entry:
    return Entry(
        name=path,
        kind=kind,
        mode=found.st_mode & 0o7777,
        uid=found.st_uid,
        gid=found.st_gid,
        size=size,
        mtime_ns=seconds(found),
        link=link,
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        xattrs=xattrs or {},
    )


def _xattrs(fd: int) -> dict[bytes, bytes]:
    return {
        os.fsencode(name): _without_namespace(value) if name == CAPABILITY_XATTR else value
        for name, value in kept_xattrs(fd).items()
    }


def _without_namespace(value: bytes) -> bytes:
    """Revision 3 names the root of a user namespace, which makes no sense in an image: the same as revision 2."""
    if len(value) == _CAPABILITY_3_SIZE and value[3:4] == b"\x03":
        return value[:3] + _CAPABILITY_2 + value[4:_CAPABILITY_2_SIZE]
    return value
