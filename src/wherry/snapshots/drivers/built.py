"""What a container changed, put together in a directory of its own for as long as somebody reads it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wherry.linux.trees import DIRECTORY, remove_tree


@contextmanager
def built_changes(own: str, source: str, build: Callable[[int, int], None]) -> Iterator[str]:
    """A directory in ``own`` that ``build`` has filled from ``own``'s directory ``source``; it goes at the end.

    ``build`` gets descriptors of both. Blocking. Raises OSError.
    """
    place = f"{own}/changes-{secrets.token_hex(4)}"
    os.mkdir(place, 0o700)
    try:
        reading, writing = os.open(f"{own}/{source}", DIRECTORY), os.open(place, DIRECTORY)
        try:
            build(reading, writing)
        finally:
            os.close(reading)
            os.close(writing)
        yield place
    finally:
        remove_tree(place)
