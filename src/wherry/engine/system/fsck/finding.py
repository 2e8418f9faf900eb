"""The words of this room: what a check finds, and what a check is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Mend = Callable[[], Awaitable[object]]
"""Does away with a difference. Raises WherryError, OSError, sqlite3.Error when it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference between what is recorded, what is on disk and what is in the kernel."""

    kind: str
    """Such as ``layer-missing``."""
    subject: str
    """The digest, id, name or path concerned."""
    problem: str
    remedy: str
    """What a repair does; where there is no ``mend``, what the user can do."""
    mend: Mend | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """The same in another look is the same difference."""
        return self.kind, self.subject


class Check(Protocol):
    """Compares one kind of thing."""

    name: str
    steady: bool
    """What it compares does not change under a running daemon, so that one look is enough."""

    async def look(self) -> Sequence[Finding]:
        """What differs now. What an operation under way has half done may be among it, unless ``steady``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A finding that a second look has confirmed, and what became of it."""

    finding: Finding
    mended: bool = False
    error: str = ""
    """Why it could not be mended."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One check is done."""

    name: str
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The end of a run."""

    found: int
    mended: int
    left: int
    """Differences that there still are: without repair all, with it what a look after the repair has found."""
