"""The overlay driver: the kernel merges the layers. Nothing to do here but to say which."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from wherry.snapshots.drivers.protocol import IdMaps
from wherry.snapshots.model import Overlay
from wherry.snapshots.probe import probe_overlay


class OverlayDriver:
    """Overlayfs, mounted by the runtime where only the container sees it."""

    name = "overlay2"

    def probe(self, root: Path) -> None:
        """Mount one."""
        probe_overlay(root)

    def claim(self, own: str) -> None:
        """A directory without a mark is ours."""

    async def fill(self, own: str, lower: Sequence[str]) -> None:
        """The spare directory is all it takes."""

    def root(self, own: str, lower: Sequence[str]) -> Overlay:
        """The layers themselves."""
        return Overlay(lower=tuple(lower), upper=f"{own}/fs", work=f"{own}/work")

    async def ready(self, own: str, lower: Sequence[str], maps: IdMaps | None) -> None:
        """The runtime mounts it."""

    def release(self, own: str) -> None:
        """It goes with the container's mount namespace."""

    def changes(self, own: str, lower: Sequence[str]) -> AbstractContextManager[str]:  # noqa: ARG002
        """The upper directory, as it is."""
        return nullcontext(f"{own}/fs")
