"""What a storage driver does. ``own`` is the directory of one active snapshot, ``lower`` its layers, top first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from wherry.snapshots.model import Overlay


class IdRange(Protocol):
    """``size`` ids from ``inside`` on are the host's from ``outside`` on."""

    @property
    def inside(self) -> int: ...
    @property
    def outside(self) -> int: ...
    @property
    def size(self) -> int: ...


class IdMaps(Protocol):
    """The ids of a container's user namespace; no ranges without one."""

    @property
    def uids(self) -> Sequence[IdRange]: ...
    @property
    def gids(self) -> Sequence[IdRange]: ...


class Driver(Protocol):
    """One way to give a container its root."""

    @property
    def name(self) -> str:
        """As ``docker info`` shows it."""

    def probe(self, root: Path) -> None:
        """Try it out below ``root``. Blocking. Raises Unavailable with the reason and what to do."""

    def claim(self, own: str) -> None:
        """Mark the empty ``own`` as a snapshot of this driver, which ``ready`` completes. Raises OSError."""

    async def fill(self, own: str, lower: Sequence[str]) -> None:
        """Make of the empty ``own`` a snapshot of this driver, on disk when this returns. Raises OSError."""

    def root(self, own: str, lower: Sequence[str]) -> Overlay:
        """What the runtime mounts once it is ``ready``."""

    async def ready(self, own: str, lower: Sequence[str], maps: IdMaps | None) -> None:
        """Have the root there to be mounted or read. Raises Unavailable, OSError."""

    def release(self, own: str) -> None:
        """Nobody uses the root any more. Blocking; harmless when it was not ready."""

    def changes(self, own: str, lower: Sequence[str]) -> AbstractContextManager[str]:
        """A directory that holds what the container changed, in overlayfs' form. Blocking; read it only."""
