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
_GONE = (errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EOPNOTSUPP)


class CgroupError(Exception):
    """The kernel refused, or does not offer, what was asked of a cgroup."""

    step = "unable to apply cgroup configuration"
    """What runc says before the message when it happens at a container's start."""


class LimitError(CgroupError):
    """A limit of the kind that runc sets after the container's process has entered its group."""

    step = "error setting cgroup config for procHooks process"


def refusal(path: str, value: str, error: OSError) -> str:
    """What runc says of a file that could not be written."""
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.ENOENT:
        return f"openat2 {path}: {reason}"
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'failed to write "{quoted}": write {path}: {reason}'


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
        if error.errno in _GONE:
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


def writable_parent(path: str) -> bool:
    """Whether groups can be made, and processes put into them, in the deepest group above ``path`` that is there."""
    parent = os.path.dirname(path)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    return all(os.access(name, os.W_OK, effective_ids=True) for name in (parent, f"{parent}/cgroup.procs"))


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


def pids(group: str) -> list[int]:
    """The processes of a group, of a threaded one the threads; 0 (outside our pid namespace) is left out."""
    try:
        text = read(f"{group}/cgroup.procs")
    except OSError as error:
        if error.errno not in _GONE:
            raise
        text = read_or(f"{group}/cgroup.threads") if error.errno == errno.EOPNOTSUPP else ""
    return [int(pid) for pid in text.split() if pid != "0"]


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
    found = sorted({pid for group in walk(path) for pid in pids(group)})
    return f" (still in it: {', '.join(map(str, found[:10]))})" if found else ""
