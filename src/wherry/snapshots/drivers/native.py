"""The native driver: a container's root is a copy of all its layers. Works on every file system, at its price.

Docker's ``vfs`` keeps a copy for every layer too; here layers stay what they add, and only containers are copies.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from wherry.lib.errors import Unavailable
from wherry.linux.trees import remove_tree
from wherry.snapshots.copied import copy_layers
from wherry.snapshots.differing import build_changes
from wherry.snapshots.drivers.built import built_changes
from wherry.snapshots.drivers.protocol import IdMaps
from wherry.snapshots.merged import Merged
from wherry.snapshots.model import Overlay

ROOT = "root"
COPYING = "copying"
STAMP = "copied"


class NativeDriver:
    """Copies. ``name`` is what the daemon was told, ``native`` or Docker's ``vfs``."""

    def __init__(self, name: str = "native") -> None:
        self.name = name

    def probe(self, root: Path) -> None:
        """It needs whiteouts for layers, which every file system with device nodes has."""
        if not os.access(root, os.W_OK):
            raise Unavailable(f"{root} cannot be written to")

    def claim(self, own: str) -> None:
        """The stamp says it; there is no root yet."""
        _stamp(own)

    async def fill(self, own: str, lower: Sequence[str]) -> None:
        """Copy the layers; ends early, and quietly, when the caller is cancelled."""
        stop = threading.Event()
        work = asyncio.ensure_future(asyncio.to_thread(_copy, own, lower, stop))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([work])
            work.exception()
            raise

    def root(self, own: str, lower: Sequence[str]) -> Overlay:  # noqa: ARG002
        """The one directory."""
        return Overlay(lower=(f"{own}/{ROOT}",), upper="", work="")

    async def ready(self, own: str, lower: Sequence[str], maps: IdMaps | None) -> None:  # noqa: ARG002
        """It is there. One that a crash or a hand has taken away is copied again."""
        if not await asyncio.to_thread(os.path.isdir, f"{own}/{ROOT}"):
            await self.fill(own, lower)

    def release(self, own: str) -> None:
        """Nothing was mounted."""

    def changes(self, own: str, lower: Sequence[str]) -> AbstractContextManager[str]:
        """The two trees compared."""

        def build(source: int, target: int) -> None:
            with Merged.open(lower) as below:
                build_changes(source, below, os.stat(f"{own}/{STAMP}").st_ctime_ns, target)

        return built_changes(own, ROOT, build)


def _copy(own: str, lower: Sequence[str], stop: threading.Event) -> None:
    """Beside the root first: one that is there is whole, whatever stopped an earlier copy."""
    place = f"{own}/{COPYING}"
    remove_tree(place)
    os.mkdir(place, 0o700)
    try:
        copy_layers(lower, place, stop.is_set)
        _stamp(own)
        os.rename(place, f"{own}/{ROOT}")
    except BaseException:
        remove_tree(place)
        raise


def _stamp(own: str) -> None:
    """By the file system's own clock, the one that its ctimes come from."""
    fd = os.open(f"{own}/{STAMP}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, 0)
        os.utime(fd)
    finally:
        os.close(fd)
