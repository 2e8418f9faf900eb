"""Volumes: each record has its directory, and each directory its record."""

from __future__ import annotations

from functools import partial

from wherry.engine.system.fsck.finding import Finding
from wherry.engine.volumes import Volumes


class VolumeFiles:
    """Records against directories. Nothing here deletes data: what nobody knows is adopted."""

    name = "volumes"
    steady = False

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    async def look(self) -> list[Finding]:
        lost, unknown, hidden = await self._volumes.differences()
        found = [self._lost(name) for name in sorted(lost)]
        found += [self._unknown(name) for name in sorted(unknown)]
        return found + [self._hidden(name) for name in sorted(hidden)]

    def _lost(self, name: str) -> Finding:
        return Finding(
            kind="volume-missing",
            subject=name,
            problem="the volume has no directory: its data is lost",
            remedy="gets an empty one",
            mend=partial(self._volumes.remake, name),
        )

    def _unknown(self, name: str) -> Finding:
        return Finding(
            kind="volume-unrecorded",
            subject=name,
            problem="a volume's directory that no record knows",
            remedy="is recorded as a volume again, or deleted if nothing is in it",
            mend=partial(self._volumes.adopt, name),
        )

    def _hidden(self, name: str) -> Finding:
        return Finding(
            kind="volume-removed",
            subject=name,
            problem="the data of a removed volume is still there",
            remedy="is deleted",
            mend=partial(self._volumes.purge_removed, name),
        )
