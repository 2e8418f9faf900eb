"""Asking the user for a line, or for one that must not be seen."""

from __future__ import annotations

import os

from wherry.cli.app import is_terminal, write
from wherry.cli.errors import CliError

_LIMIT = 1 << 16


def ask(question: str) -> str:
    """The user's line, without the spaces around it."""
    write(1, question.encode("utf-8", "surrogateescape"))
    return _line().strip()


def ask_hidden(question: str) -> str:
    """The user's line, which the terminal does not show."""
    import termios

    saved = termios.tcgetattr(0)
    quiet = [*saved]
    quiet[3] &= ~termios.ECHO
    # Before the question: who answers at once must not see the answer.
    termios.tcsetattr(0, termios.TCSADRAIN, quiet)
    try:
        write(1, question.encode("utf-8", "surrogateescape"))
        return _line().strip()
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)
        write(1, b"\n")


def need_terminal() -> None:
    """Raise docker's words if there is nobody to ask."""
    if not is_terminal(0):
        raise CliError("Error: Cannot perform an interactive login from a non TTY device")


def read_stdin() -> str:
    """All of standard input, without the line's end at its end."""
    text = b""
    while piece := os.read(0, _LIMIT):
        text += piece
    return text.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")


def _line() -> str:
    text = b""
    while not text.endswith(b"\n") and len(text) < _LIMIT and (piece := os.read(0, 1)):
        text += piece
    return text.decode("utf-8", "surrogateescape")
