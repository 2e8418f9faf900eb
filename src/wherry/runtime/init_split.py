"""``--init``: process 1 of a container that only passes signals on and collects what has ended."""

from __future__ import annotations

import os

from wherry.linux import process, signals
from wherry.linux.syscalls import close_from


def split() -> None:
    """Fork: the caller goes on in the child; the parent stays behind as process 1 and never returns."""
    everything = signals.block_all()
    child = os.fork()
    if child == 0:
        return
    close_from(0)
    os.setsid()
    process.set_title("wherry-init")
    while True:
        number = signals.wait(everything)
        if number != signals.SIGCHLD:
            os.kill(child, number)
            continue
        while True:
            pid, status = _reap()
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
            if pid <= 0:
                break


def _reap() -> tuple[int, int]:
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return -1, 0
