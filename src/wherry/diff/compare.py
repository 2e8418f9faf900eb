"""The tar of what a snapshot's directory changed: overlayfs' whiteouts become names again (``whiteouts``).

Entries come in the order of their names, times are whole seconds, so the same directory gives the same bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from wherry.diff.errors import Stopped
from wherry.diff.tar import BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, LINK, REGULAR, SYMLINK, Entry
from wherry.diff.tarwriter import END, header, padding
from wherry.diff.whiteouts import OPAQUE, PREFIX, RESERVED_XATTRS, is_opaque, is_whiteout

CHUNK = 1024 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFREG: REGULAR,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}


def layer_of(directory: str, stopped: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
    """The layer tar of ``directory``, piece by piece. Sockets are left out, as Docker does. Raises OSError, Stopped."""
    links: dict[tuple[int, int], bytes] = {}
    root = os.open(directory, _DIRECTORY)
    stack: list[tuple[int, bytes, Iterator[bytes]]] = [(root, b"", _names(root))]
    try:
        while stack:
            fd, path, names = stack[-1]
            name = next(names, None)
            if name is None:
                os.close(fd)
                stack.pop()
                continue
            if stopped():
                raise Stopped
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            whole = path + name
            if is_whiteout(found):
                yield header(Entry(name=path + PREFIX + name, kind=REGULAR, mode=0o600, mtime_ns=_seconds(found)))
            elif stat.S_ISDIR(found.st_mode):
                below = os.open(name, _DIRECTORY, dir_fd=fd)
                stack.append((below, whole + b"/", _names(below)))
                yield from _directory(below, whole, found)
            elif stat.S_IFMT(found.st_mode) in _KINDS:
                yield from _other(fd, name, whole, found, links)
        yield END
    finally:
        for fd, _, _ in stack:
            os.close(fd)


def _directory(fd: int, path: bytes, found: os.stat_result) -> Iterator[bytes]:
    yield header(_entry(path, found, DIRECTORY, xattrs=_xattrs(fd)))
    if is_opaque(fd):
        yield header(Entry(name=path + b"/" + OPAQUE, kind=REGULAR, mode=0o600, mtime_ns=_seconds(found)))


def _other(
    fd: int, name: bytes, path: bytes, found: os.stat_result, links: dict[tuple[int, int], bytes]
) -> Iterator[bytes]:
    kind = _KINDS[stat.S_IFMT(found.st_mode)]
    if found.st_nlink > 1:
        first = links.setdefault((found.st_dev, found.st_ino), path)
        if first != path:
            yield header(_entry(path, found, LINK, link=first))
            return
    if kind == SYMLINK:
        yield header(_entry(path, found, kind, link=os.readlink(name, dir_fd=fd)))
    elif kind == REGULAR:
        yield from _regular(fd, name, path)
    else:
        yield header(_entry(path, found, kind))


def _regular(above: int, name: bytes, path: bytes) -> Iterator[bytes]:
    fd = os.open(name, _FILE, dir_fd=above)
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
        yield padding(found.st_size)
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
        mtime_ns=_seconds(found),
        link=link,
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        xattrs=xattrs or {},
    )


def _names(fd: int) -> Iterator[bytes]:
    return iter(sorted(os.fsencode(name) for name in os.listdir(fd)))


def _seconds(found: os.stat_result) -> int:
    return found.st_mtime_ns // 1_000_000_000 * 1_000_000_000


def _xattrs(fd: int) -> dict[bytes, bytes]:
    """What Docker keeps: file capabilities, and what users set."""
    keys = [os.fsencode(key) for key in os.listxattr(fd)]
    kept = (key for key in keys if key.startswith((b"security.capability", b"user.")))
    return {key: os.getxattr(fd, key) for key in kept if not key.startswith(RESERVED_XATTRS)}
