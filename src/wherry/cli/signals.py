"""Signals as bytes in a pipe, so that one poll loop can wait for them too.

``_signal`` is the C half of ``signal``, whose Python half costs 8 ms of enums.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Iterable
    from types import FrameType
else:
    import _signal

SIGWINCH = _signal.SIGWINCH

_KEPT = {"SIGCHLD", "SIGPIPE", "SIGURG", "SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP"}
"""Not forwarded: our own children and faults, and what cannot be caught."""


def forwarded() -> list[int]:
    """The signals that docker passes on to a container."""
    return sorted(number for name, number in _numbers().items() if name not in _KEPT)


def name_of(number: int) -> str:
    """INT for 2; empty for one without a name."""
    return next((name[3:] for name, one in _numbers().items() if one == number), "")


def _numbers() -> dict[str, int]:
    names = (name for name in dir(_signal) if name.startswith("SIG") and not name.startswith("SIG_"))
    return {name: int(getattr(_signal, name)) for name in names if name not in {"SIGCLD", "SIGPOLL", "SIGRTMAX"}}


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """The pipe has the signal's number."""


class SignalPipe:
    """Catches signals while it is open; ``read`` gives the numbers of those that came."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = _signal.set_wakeup_fd(self._in)
        self._before = [(number, _signal.signal(number, _ignore)) for number in numbers]

    def fileno(self) -> int:
        """The end to poll."""
        return self._out

    def read(self) -> bytes:
        """Signal numbers, one byte each."""
        try:
            return os.read(self._out, 512)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Let signals act as before."""
        for number, handler in self._before:
            if handler is not None:
                _signal.signal(number, handler)
        _signal.set_wakeup_fd(self._wakeup)
        os.close(self._in)
        os.close(self._out)
