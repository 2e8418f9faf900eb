"""Paths below a directory that somebody else shapes: resolved by descriptor, never leaving it. Imports ctypes, os.

``open_in`` asks the kernel (openat2, RESOLVE_IN_ROOT: a link or ``..`` stops at the root). ``make_in`` creates what is
missing; it walks by itself, one component a step, and keeps the descriptors of the directories that it came through:
``..`` goes back to one of those instead of being looked up, so no rename can carry it outside.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from wherry.linux.syscalls import SYS_OPENAT2, c_char_p, c_int, c_size_t, c_void_p, check, encode, failure, system_call

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_MAX_LINKS = 40
_RETRIES = 64


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_openat2 = system_call(SYS_OPENAT2, c_int, c_char_p, c_void_p, c_size_t)


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """The openat2 system call; close-on-exec."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    return check(_openat2(directory, encode(path), ctypes.addressof(how), ctypes.sizeof(how)), "openat2", path)


def open_in(root: int, path: str, flags: int = os.O_PATH, *, links: bool = True) -> int:
    """Open ``path`` as if ``root`` were "/". ``links=False`` refuses a path with a symbolic link in it (ELOOP)."""
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (0 if links else RESOLVE_NO_SYMLINKS)
    for _ in range(_RETRIES):
        try:
            return openat2(root, path, flags, resolve)
        except OSError as error:
            # EAGAIN: something was renamed or mounted meanwhile and the kernel cannot vouch for a "..".
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise
    raise failure(errno.EAGAIN, "openat2", path)


def make_in(root: int, path: str, *, directory: bool, mode: int = 0o755) -> int:
    """An O_PATH descriptor of ``path`` below ``root``; missing parents, and the directory or empty file, are made.

    What is there is returned whatever its kind. A dangling link is followed and its target made.
    """
    try:
        return open_in(root, path)
    except FileNotFoundError:
        pass
    pending = [part for part in path.split("/") if part not in ("", ".")][::-1]
    trail = [os.dup(root)]
    links = 0
    try:
        while pending:
            name = pending.pop()
            if name == "..":
                if len(trail) > 1:
                    os.close(trail.pop())
                continue
            fd = make_at(trail[-1], name, directory=directory or bool(pending), mode=mode)
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                trail.append(fd)
                continue
            target = os.readlink("", dir_fd=fd)
            os.close(fd)
            links += 1
            if links > _MAX_LINKS:
                raise failure(errno.ELOOP, "open", path)
            if target.startswith("/"):
                while len(trail) > 1:
                    os.close(trail.pop())
            pending += [part for part in target.split("/") if part not in ("", ".")][::-1]
        return trail.pop()
    finally:
        for fd in trail:
            os.close(fd)


def make_at(parent: int, name: str, *, directory: bool, mode: int) -> int:
    """An O_PATH descriptor of the entry ``name`` of ``parent``, made if missing; a link is itself, not followed."""
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        pass
    try:
        if directory:
            os.mkdir(name, mode, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode & 0o666, dir_fd=parent))
    except FileExistsError:
        pass  # somebody was faster; the open below says what it is
    return os.open(name, flags, dir_fd=parent)


def read_bounded(root: int, path: str, limit: int) -> bytes:
    """The bytes of a regular file below ``root``, at most ``limit + 1``; empty if there is none.

    A FIFO or a device is refused by its kind before it is read, and cannot block the open.
    """
    try:
        os.close(_regular(open_in(root, path), path))
        fd = open_in(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    _regular(fd, path)
    try:
        chunks = []
        left = limit + 1
        while left and (chunk := os.read(fd, min(left, 65536))):
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def _regular(fd: int, path: str) -> int:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise failure(errno.EINVAL, "not a regular file:", path)
    return fd
