"""Where our answer differs from the reference's and why that is right. ``docs/differences.md`` is written from this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One justified difference."""

    command: str  # a pattern of the command lines concerned
    topic: str  # what a person does
    reference: str  # what the reference, dockerd 20.10, says
    ours: str
    reason: str
    pattern: str = r"(?!)"  # what to take out of both answers before comparing
    stand_in: str = ""
    codes: tuple[int, ...] = ()  # exit codes that count as equal
    only_code: bool = False  # compare the exit code alone


DIFFERENCES: list[Difference] = []
