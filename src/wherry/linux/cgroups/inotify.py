"""One inotify watch, for files that cgroup v2 changes when something happened. Imports ctypes and os."""

from __future__ import annotations

import ctypes
import os

from wherry.linux.cgroups.files import CgroupError

_IN_MODIFY = 0x2


def watch_modified(path: str) -> int:
    """A non-blocking descriptor that becomes readable whenever ``path`` changes. Raises CgroupError."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise CgroupError(f"inotify_init1: {os.strerror(ctypes.get_errno())}")
    if libc.inotify_add_watch(fd, path.encode(), _IN_MODIFY) < 0:
        reason = os.strerror(ctypes.get_errno())
        os.close(fd)
        raise CgroupError(f"unable to watch {path}: {reason}")
    return fd
