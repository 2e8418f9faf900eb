"""A racer: it swaps two names, again and again, as a container with a shared volume can while another one starts."""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LIMIT = 30.0
"""Seconds after which a racer gives up by itself."""


@contextlib.contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """``one`` and ``other`` change places all the time; afterwards each is whatever it was last."""
    with subprocess.Popen([sys.executable, __file__, str(one), str(other)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        try:
            yield
        finally:
            process.kill()


def main(one: str, other: str) -> None:
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    names = one.encode(), other.encode()
    sys.stdout.write("r")
    sys.stdout.flush()
    end = time.monotonic() + _LIMIT
    while time.monotonic() < end:
        for _ in range(100):
            renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)


if __name__ == "__main__":
    main(*sys.argv[1:])
