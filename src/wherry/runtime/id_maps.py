"""How the ids of a user namespace are the host's: plain values, made in ``daemon/userns_remap`` and handed around."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdRange:
    """``size`` ids from ``inside`` on in the namespace, which are those from ``outside`` on of the host."""

    inside: int
    outside: int
    size: int


@dataclass(frozen=True, slots=True)
class IdMaps:
    """The maps of a user namespace; empty ones are no namespace at all."""

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.uids)

    @property
    def root(self) -> tuple[int, int]:
        """The host's uid and gid of the namespace's root."""
        return to_host(self.uids, 0), to_host(self.gids, 0)

    def owner(self, uid: int, gid: int) -> tuple[int, int]:
        """The host's ids of a user and a group inside."""
        return to_host(self.uids, uid), to_host(self.gids, gid)

    def oci(self) -> dict[str, list[dict[str, int]]]:
        """``uidMappings`` and ``gidMappings`` of the OCI spec."""
        return {"uidMappings": _mappings(self.uids), "gidMappings": _mappings(self.gids)}


NO_MAPS = IdMaps()
"""The host's own ids."""


def to_host(ranges: tuple[IdRange, ...], inside: int) -> int:
    """The host's id of the one ``inside``; the same id without ranges. Raises ValueError for one that is not mapped."""
    if not ranges:
        return inside
    for part in ranges:
        if part.inside <= inside < part.inside + part.size:
            return part.outside + inside - part.inside
    raise ValueError(f"id {inside} is not mapped in the user namespace")


def _mappings(ranges: tuple[IdRange, ...]) -> list[dict[str, int]]:
    return [{"containerID": part.inside, "hostID": part.outside, "size": part.size} for part in ranges]
