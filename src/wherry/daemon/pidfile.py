"""One daemon per root: a lock on the data root and one on the exec root, held as long as the process lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from wherry.lib import atomic
from wherry.lib.errors import Conflict


class RootLock:
    """An exclusive lock on a directory that only this daemon may use."""

    def __init__(self, root: Path) -> None:
        self._fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise Conflict(
                f"another daemon is using {root}: give this one its own --data-root and --exec-root"
            ) from None

    def close(self) -> None:
        """Let the next daemon in."""
        os.close(self._fd)


def write_pidfile(path: Path) -> None:
    """Say who runs here. The lock decides, not this file: a stale one is overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_file(path, f"{os.getpid()}\n".encode(), mode=0o644)
