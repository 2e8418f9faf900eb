"""Writing a command's output: whole, to the descriptor, and without the text layers that cost a start its time."""

from __future__ import annotations

import os


def write(fd: int, data: bytes) -> None:
    """All of ``data``. Raises OSError."""
    while data:
        data = data[os.write(fd, data) :]


def out(text: str) -> None:
    """To standard output."""
    write(1, text.encode("utf-8", "surrogateescape"))


def err(text: str) -> None:
    """To standard error; nobody is left to hear if that is gone."""
    try:
        write(2, text.encode("utf-8", "surrogateescape"))
    except OSError:
        return
