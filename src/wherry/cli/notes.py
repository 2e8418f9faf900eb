"""Remarks beside a command's output, as docker draws them: marked on a terminal, plain elsewhere."""

from __future__ import annotations

from wherry.cli.app import is_terminal, write

PLAIN_MARK = " Info -> "
MARK = "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m"
_INDENT = "\n" + " " * len(PLAIN_MARK)


def note(fd: int, text: str) -> None:
    """Write a remark of one or several lines; words in backquotes stand out on a terminal."""
    if is_terminal(fd):
        lines = [f"\x1b[3m{_bold(line)}\x1b[0m" for line in text.split("\n")]
        shown = MARK + _INDENT.join(lines)
    else:
        shown = PLAIN_MARK + _INDENT.join(text.replace("`", "").split("\n"))
    write(fd, f"\n{shown}\n".encode("utf-8", "surrogateescape"))


def _bold(line: str) -> str:
    pieces = line.split("`")
    return "".join(f"\x1b[1m{piece}\x1b[0m" if number % 2 else piece for number, piece in enumerate(pieces))
