"""``tmpcopyup``: a tmpfs that starts with what it covers. Walked by descriptor, no link followed."""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
# A file system without extended attributes, or without those; a user namespace that may not set them.
_WITHOUT = frozenset((errno.ENOTSUP, errno.EPERM, errno.EINVAL))


def copy_directory(source: int, target: int, *, mode: bool) -> None:
    """Copy what is below ``source`` to below ``target``, two O_PATH descriptors of directories. Raises OSError.

    With owners, modes, times and extended attributes, those of the top included (``mode``: its mode too). Hard links
    become files of their own. Sockets are left out, and devices where they may not be made.
    """
    old = os.open(".", _DIRECTORY, dir_fd=source)
    new = os.open(".", _DIRECTORY, dir_fd=target)
    try:
        _copy_below(old, new)
        _copy_status(old, new, mode=mode)
    finally:
        os.close(old)
        os.close(new)


def _copy_below(old: int, new: int) -> None:
    for name in os.listdir(old):
        status = os.stat(name, dir_fd=old, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=new)
            _with_both((old, new), name, (_DIRECTORY, _DIRECTORY), _copy_directory)
        elif kind == stat.S_IFREG:
            _with_both((old, new), name, (_READ, _CREATE), _copy_file)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=old), name, dir_fd=new)
            _copy_node_status(status, new, name)
        elif kind != stat.S_IFSOCK:
            _copy_node(status, new, name)


def _with_both(parents: tuple[int, int], name: str, flags: tuple[int, int], copy: Callable[[int, int], None]) -> None:
    """``copy`` between the entries ``name`` of two directories, the old and the new."""
    source = os.open(name, flags[0], dir_fd=parents[0])
    try:
        target = os.open(name, flags[1], 0o600, dir_fd=parents[1])
        try:
            copy(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_directory(old: int, new: int) -> None:
    _copy_below(old, new)
    _copy_status(old, new, mode=True)


def _copy_file(old: int, new: int) -> None:
    if not stat.S_ISREG(os.fstat(old).st_mode):
        return  # it was one when we looked
    while chunk := os.read(old, _CHUNK):
        view = memoryview(chunk)
        while view:
            view = view[os.write(new, view) :]
    _copy_status(old, new, mode=True)


def _copy_node(status: os.stat_result, new: int, name: str) -> None:
    """A FIFO or a device."""
    try:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=new)
    except PermissionError:
        return
    _copy_node_status(status, new, name)
    os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=new)


def _copy_node_status(status: os.stat_result, new: int, name: str) -> None:
    os.chown(name, status.st_uid, status.st_gid, dir_fd=new, follow_symlinks=False)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=new, follow_symlinks=False)


def _copy_status(old: int, new: int, *, mode: bool) -> None:
    """Owner before mode and attributes: a change of owner takes set-id bits and capabilities away. Times last."""
    status = os.fstat(old)
    os.fchown(new, status.st_uid, status.st_gid)
    for name in os.listxattr(old):
        try:
            os.setxattr(new, name, os.getxattr(old, name))
        except OSError as error:
            if error.errno not in _WITHOUT:
                raise
    if mode:
        os.fchmod(new, stat.S_IMODE(status.st_mode))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
