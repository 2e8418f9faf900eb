"""The user's terminal: its size, raw mode, and the keys that leave a container running."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

DEFAULT_KEYS = b"\x10\x11"  # ctrl-p ctrl-q


def size(fd: int) -> tuple[int, int]:
    """Rows and columns; zeroes if it is no terminal."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return rows, columns


class RawMode:
    """While open, every key goes through as it is typed. Nothing happens if the descriptor is no terminal."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved: list[Any] | None = None

    def __enter__(self) -> Self:
        if not os.isatty(self._fd) or os.environ.get("NORAW"):
            return self
        import termios as t

        saved = t.tcgetattr(self._fd)
        iflag, oflag, cflag, lflag, ispeed, ospeed, control = t.tcgetattr(self._fd)
        iflag &= ~(t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON)
        oflag &= ~t.OPOST
        lflag &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
        cflag = cflag & ~(t.CSIZE | t.PARENB) | t.CS8
        control[t.VMIN], control[t.VTIME] = 1, 0
        t.tcsetattr(self._fd, t.TCSANOW, [iflag, oflag, cflag, lflag, ispeed, ospeed, control])
        self._saved = list(saved)
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            import termios as t

            t.tcsetattr(self._fd, t.TCSANOW, self._saved)
            self._saved = None


def parse_keys(text: str) -> bytes:
    """The bytes of "ctrl-p,ctrl-q" or "a,b". Raises ``ValueError``."""
    found = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            found.append(ord(key))
            continue
        letter = key.removeprefix("ctrl-")
        if letter == key or len(letter) != 1 or not ("a" <= letter <= "z" or letter in "@[\\]^_"):
            raise ValueError(f"Unknown character: '{key}'")
        found.append(ord(letter.upper()) - 64)
    return bytes(found)
