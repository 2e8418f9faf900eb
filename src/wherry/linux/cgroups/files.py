"""Reading, writing, walking and removing in a cgroup file system. Imports contextlib, errno, os, time."""

from __future__ import annotations

import contextlib
import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST_FILE = 1 << 20
_RACES = 8


class CgroupError(Exception):
    """The kernel refused, or does not offer, what was asked of a cgroup."""


def check_path(path: str) -> str:
    """``path`` unless it could leave its hierarchy or break a kernel file. Raises CgroupError."""
    parts = path.split("/")
    if not path.startswith("/") or len(parts) < 2 or not all(parts[1:]):
        raise CgroupError(f"invalid cgroup path {path!r}: it must be absolute, not the root")
    if any(part in (".", "..") or len(part) > 255 for part in parts) or any(ord(char) < 0x20 for char in path):
        raise CgroupError(f"invalid cgroup path {path!r}: relative, overlong or unprintable component")
    return path


def read(path: str) -> str:
    """The text of a cgroup file, up to 1 MiB. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        size = 0
        while size < _LARGEST_FILE and (chunk := os.read(fd, 65536)):
            chunks.append(chunk)
            size += len(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode("utf-8", "replace")


def read_or(path: str, default: str = "") -> str:
    """As ``read``; a file that is not there, or whose group is gone meanwhile, reads as ``default``."""
    try:
        return read(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EOPNOTSUPP):
            return default
        raise


def write(path: str, value: str) -> None:
    """Put ``value`` into a file, in one system call as the kernel wants it. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def make(path: str) -> list[str]:
    """Make a directory and its parents; the directories that were not there before, outermost first.

    Another start may be making the same parents at this moment, or taking them back.
    """
    made: list[str] = []
    for _ in range(_RACES):
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            return made
        except FileNotFoundError:
            made += make(os.path.dirname(path))
        else:
            return [*made, path]
    raise OSError(errno.EAGAIN, "its parents keep vanishing", path)


def walk(path: str) -> Iterator[str]:
    """A group and every group below it, parents first; nothing if it is not there.

    Without recursion: a privileged container may nest groups deeper than Python's stack.
    """
    if not os.path.isdir(path):
        return
    pending = [path]
    while pending:
        current = pending.pop()
        yield current
        try:
            with os.scandir(current) as entries:
                pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue


def pids(file: str) -> list[int]:
    """The process ids that a ``cgroup.procs`` file lists; 0 (outside our pid namespace) is left out."""
    return [int(pid) for pid in read_or(file).split() if pid != "0"]


def remove_tree(path: str, deadline: float) -> None:
    """Remove a group with those below it, trying again until ``deadline`` (monotonic s) while the kernel says busy.

    A group stays busy for a moment after its last process has been reaped. Raises CgroupError.
    """
    with contextlib.suppress(OSError):
        os.rmdir(path)  # nearly always it is empty and has none below it: then there is no need to look
        return
    pause = 0.001
    while True:
        try:
            for group in reversed(list(walk(path))):
                _rmdir(group)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise CgroupError(f"unable to remove cgroup {path}: {error.strerror}{_holders(path)}") from error
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _rmdir(path: str) -> None:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return


def _holders(path: str) -> str:
    found = sorted({pid for group in walk(path) for pid in pids(f"{group}/cgroup.procs")})
    return f" (still in it: {', '.join(map(str, found[:10]))})" if found else ""
