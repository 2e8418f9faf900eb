"""The words of this room: a snapshot's record, its form as an overlay, and who keeps the records."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

Also = Callable[[sqlite3.Connection], None]
"""A change that a caller wants in the same transaction: one wait for the disk instead of two."""

COMMITTED = "committed"
ACTIVE = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRow:
    """One snapshot as state records it. ``size`` in bytes, of a committed one only."""

    number: int
    key: str
    parent: str | None
    kind: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """An active snapshot as the runtime mounts it: absolute paths, top-most lower layer first, never without a lower.

    Without ``upper`` the one ``lower`` is the whole root, writable, and nothing is to be merged.
    """

    lower: tuple[str, ...]
    upper: str
    work: str
    mapped: bool = False
    """The files show the ids of the container's user namespace already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLayer:
    """An unpacked layer about to be committed: its key until now, and what it becomes."""

    key: str
    chain_id: str
    parent: str | None
    size: int


class Records(Protocol):
    """Where snapshots are recorded (``state.snapshot``)."""

    def rows(self) -> list[SnapshotRow]:
        """Every snapshot."""

    def get(self, key: str) -> SnapshotRow | None:
        """One snapshot."""

    def chain(self, key: str) -> list[SnapshotRow]:
        """A snapshot and all below it, top first; empty when there is none of that key."""

    async def insert(self, row: SnapshotRow, also: Also | None) -> None:
        """Add a snapshot. Raises NotFound without the parent, Conflict when the key is taken."""

    async def commit(self, layers: Sequence[NewLayer], damaged: AbstractSet[str], also: Also | None) -> None:
        """Turn active snapshots into committed ones, bottom first.

        One whose chain id is taken stays as it is, but takes the place of a ``damaged`` layer.
        """

    async def remove(self, key: str, also: Also | None) -> SnapshotRow | None:
        """Forget a snapshot; None when there was none. Raises Conflict while others stand on it."""

    def forget_now(self, keys: list[str]) -> None:
        """Forget snapshots, waiting: for start-up."""
