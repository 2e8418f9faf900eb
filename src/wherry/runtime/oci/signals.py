"""Our signals while a process is in our care: at first they end the command, which undoes what it has begun; once the
process runs they are its own, but for those that concern us.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # has no stub
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SIGCHLD: int = _signal.SIGCHLD
SIGWINCH: int = _signal.SIGWINCH

# What the kernel does not let go, what our own faults raise, what stops a job in the background, and what libc needs.
_OTHERS = {
    *(_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL),
    *(_signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGPIPE, 32, 33),
}
_ENDING = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


class Interrupted(Exception):
    """A signal has ended the command before the process ran."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by signal {number}")
        self.number = number


class Signals:
    """From construction on the command is interruptible; from ``take`` on it is not, see the module."""

    def __init__(self) -> None:
        self._pending: list[int] = []
        self.wake = -1
        """Readable when there are ``pending`` ones."""
        for number in _ENDING:
            _signal.signal(number, _interrupt)

    def take(self) -> None:
        """Collect all signals instead."""
        self.wake, tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in _signal.valid_signals():
            if number not in _OTHERS:
                _signal.signal(number, self._note)

    def pending(self) -> Iterator[int]:
        """What has come since, oldest first."""
        while self._pending:
            yield self._pending.pop(0)

    def ignore(self) -> None:
        """While things are undone nothing may interrupt that."""
        for number in _ENDING:
            _signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:  # noqa: ARG002  what the interpreter calls
        self._pending.append(number)


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001
    raise Interrupted(number)
