"""How long to wait before trying again, and telling the user."""

from __future__ import annotations

import math
from collections.abc import Callable

from wherry.transfer.remote.faults import Fault
from wherry.transfer.remote.stop import Stop

LONGEST = 60.0
OnRetry = Callable[[int], None]
"""Told, every second, how many seconds are left: "Retrying in 5 seconds"."""


class Patience:
    """Failures in a row of one transfer, and the growing waits between its attempts."""

    def __init__(self, attempts: int, delay: float, stop: Stop) -> None:
        self._attempts = attempts
        self._delay = delay
        self._stop = stop
        self._failures = 0
        self.tried = 0
        """Attempts that failed, all in all."""

    def renew(self) -> None:
        """The transfer got on: what failed before does not count any more."""
        self._failures = 0

    def after(self, fault: Fault, on_retry: OnRetry | None) -> None:
        """Wait before the next attempt. Raises the fault when there is to be none, Stopped when told to give up."""
        self._failures += 1
        self.tried += 1
        if not fault.retry or self._failures >= self._attempts:
            raise fault
        wait = min(max(self._delay * 2 ** (self._failures - 1), fault.retry_after), LONGEST)
        while wait > 0:
            if on_retry is not None:
                on_retry(math.ceil(wait))
            self._stop.pause(min(wait, 1.0))
            wait -= 1.0
