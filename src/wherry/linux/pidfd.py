"""Processes named so that a reused process id cannot be mistaken: pidfd and start time. Imports ctypes, os, signal."""

from __future__ import annotations

import os
import select
import signal

from wherry.linux.syscalls import c_int, c_uint, check, system_call

_SYS_PIDFD_GETFD = 438
_pidfd_getfd = system_call(_SYS_PIDFD_GETFD, c_int, c_int, c_uint)


def start_time(pid: int) -> int:
    """Clock ticks after boot at which ``pid`` started, field 22 of /proc/<pid>/stat; 0 if there is no such process."""
    fields = stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 else 0


def stat_fields(pid: int) -> list[str]:
    """/proc/<pid>/stat from field 3 (the state) on; empty if there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        text = os.read(fd, 4096)
    except ProcessLookupError:
        return []
    finally:
        os.close(fd)
    # The command, field 2, may hold anything, even parentheses and spaces.
    return text.rpartition(b")")[2].decode().split()


def open_verified(pid: int, started: int) -> int | None:
    """A pidfd of the process ``pid`` that started at ``started``; None if that process is gone.

    Opened first and checked after: what the descriptor holds can no longer change.
    """
    if pid <= 0:
        return None
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if start_time(pid) == started:
        return fd
    os.close(fd)
    return None


def send_signal(fd: int, number: int) -> bool:
    """pidfd_send_signal(2); whether the process was still there."""
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    return True


def alive(fd: int) -> bool:
    """Whether the process behind a pidfd runs; a zombie does not."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return not poller.poll(0)


def get_fd(process: int, number: int) -> int:
    """Our own copy, close-on-exec, of the descriptor ``number`` of the process behind a pidfd: pidfd_getfd(2).

    Needs the right to trace that process. Raises OSError: EBADF if it has no such descriptor.
    """
    return check(_pidfd_getfd(process, number, 0), "pidfd_getfd", number)


def shown_by_proc(fd: int) -> int:
    """The number that /proc has for the process behind a pidfd, in whichever pid namespace the caller is; -1: ended."""
    info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for line in os.read(info, 4096).splitlines():
            if line.startswith(b"Pid:"):
                return int(line[4:])
    finally:
        os.close(info)
    return -1


def number_of(pid: int) -> int:
    """The number that /proc has for the caller's ``pid``: another one when /proc shows an outer pid namespace."""
    fd = os.pidfd_open(pid)
    try:
        return shown_by_proc(fd)
    finally:
        os.close(fd)
