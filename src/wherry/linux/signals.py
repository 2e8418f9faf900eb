"""Signals by ``_signal``, the C part of ``signal``: plain numbers, not the enums that ``signal`` looks up in each call.

Imports ``_signal``.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # has no stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT: int = _signal.SIG_DFL
IGNORE: int = _signal.SIG_IGN
SIGHUP: int = _signal.SIGHUP
SIGINT: int = _signal.SIGINT
SIGKILL: int = _signal.SIGKILL
SIGPIPE: int = _signal.SIGPIPE
SIGTERM: int = _signal.SIGTERM
SIGCHLD: int = _signal.SIGCHLD


def handle(number: int, action: int | Callable[[int, object], None]) -> None:
    """What to do at a signal: DEFAULT, IGNORE or a function."""
    _signal.signal(number, action)


def wake_by(fd: int) -> None:
    """Write a byte to ``fd``, which does not block, at each signal that has a function."""
    _signal.set_wakeup_fd(fd, warn_on_full_buffer=False)


def block_all() -> set[int]:
    """Block every signal; all of them, for ``wait``."""
    every: set[int] = _signal.valid_signals()
    _signal.pthread_sigmask(_signal.SIG_BLOCK, every)
    return every


def wait(numbers: set[int]) -> int:
    """Wait for one of the blocked ``numbers``; which it was."""
    return int(_signal.sigwaitinfo(numbers).si_signo)
