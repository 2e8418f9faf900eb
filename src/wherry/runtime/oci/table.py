"""Columns of text, as Go's tabwriter sets them with a least width of 12 and a gap of 3."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST = 12
_GAP = 3


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows, the last column as it is."""
    widths = [max(_LEAST, *(len(row[column]) + _GAP for row in rows)) for column in range(len(rows[0]) - 1)]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[-1] for row in rows)
    return "".join(f"{line}\n" for line in lines)
