"""Columns by the rules of Go's text/tabwriter, which every table of docker goes through.

A cell ends with a tab; what follows the last tab of a line belongs to no column. Consecutive lines that have an nth
cell share the nth column's width: the widest cell plus the padding, at least the minimum.
"""

from __future__ import annotations

from wherry.cli.format.text import width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def align(text: str, *, minimum: int = 10, padding: int = 3) -> str:
    """Replace tabs by the spaces that make columns."""
    rows = [line.split("\t") for line in text.split("\n")]
    return "\n".join(_lines(rows, (), minimum, padding))


def table(rows: Iterable[Sequence[str]], *, minimum: int = 10, padding: int = 3) -> str:
    """Draw rows of cells, each line ended."""
    return align("".join("\t".join(row) + "\n" for row in rows), minimum=minimum, padding=padding)


def _lines(rows: Sequence[Sequence[str]], widths: tuple[int, ...], minimum: int, padding: int) -> Iterable[str]:
    """Draw lines whose first columns' widths are known, finding one more column's at a time."""
    column = len(widths)
    at = 0
    while at < len(rows):
        if len(rows[at]) - 1 <= column:
            yield _drawn(rows[at], widths)
            at += 1
            continue
        stop = at
        wide = minimum
        while stop < len(rows) and len(rows[stop]) - 1 > column:
            wide = max(wide, width(rows[stop][column]) + padding)
            stop += 1
        yield from _lines(rows[at:stop], (*widths, wide), minimum, padding)
        at = stop


def _drawn(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (widths[n] - width(cell)) for n, cell in enumerate(cells[:-1])]
    return "".join(padded) + cells[-1]
