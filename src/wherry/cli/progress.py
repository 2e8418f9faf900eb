"""The messages of pull, push, load and import: JSON lines from the daemon, as text or as moving bars on a terminal."""

from __future__ import annotations

import os

from wherry.cli.app import is_terminal, write
from wherry.cli.errors import CliError
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_BAR = 50


def display(lines: Iterator[bytes], fd: int | None, *, beside: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Show the messages on ``fd`` (None: not at all). Raises ``CliError`` if one of them is an error.

    What is meant for programs rather than people goes to ``beside``.
    """
    screen = _Screen(fd, moving=fd is not None and is_terminal(fd))
    for line in lines:
        message = loads(line)
        error = message.get("errorDetail") or ({"message": message["error"]} if message.get("error") else None)
        if error:
            raise CliError(str(error.get("message", "")))
        if "aux" not in message:
            screen.show(message)
        elif beside is not None and isinstance(message["aux"], dict):
            beside(message["aux"])


class _Screen:
    def __init__(self, fd: int | None, *, moving: bool) -> None:
        self._fd = fd
        self._moving = moving
        self._lines: dict[str, int] = {}

    def show(self, message: dict[str, Any]) -> None:
        identity = message.get("id", "")
        progress = message.get("progressDetail")
        down = ""
        if identity and (progress is not None or message.get("progress")):
            new = identity not in self._lines
            line = self._lines.setdefault(identity, len(self._lines))
            if self._moving:
                distance = len(self._lines) - line
                self._write("\n" if new else "")
                self._write(f"\x1b[{distance}A")
                down = f"\x1b[{distance}B"
        else:
            self._lines.clear()
        self._write(self._text(message, identity, progress) + down)

    def _text(self, message: dict[str, Any], identity: str, progress: dict[str, Any] | None) -> str:
        head = end = ""
        if self._moving and not message.get("stream") and progress is not None:
            head, end = "\x1b[2K\r", "\r"
        elif progress and self._bar(progress):
            return ""  # bars are for terminals
        if identity:
            head += f"{identity}: "
        if message.get("from"):
            head += f"(from {message['from']}) "
        status = message.get("status", "")
        if progress is not None and self._moving:
            return f"{head}{status} {self._bar(progress)}{end}"
        if message.get("progress"):
            return f"{head}{status} {message['progress']}{end}"
        if message.get("stream"):
            return f"{head}{message['stream']}{end}"
        return f"{head}{status}{end}\n"

    def _bar(self, progress: dict[str, Any]) -> str:
        from wherry.cli.format.units import human_size

        current, total = progress.get("current") or 0, progress.get("total") or 0
        units = progress.get("units")
        if current <= 0 and total <= 0:
            return ""
        if total <= 0:
            return f"{current} {units}" if units else f"{human_size(current):>8}"
        done = min(int(current / total * 100) // 2, _BAR)
        bar = f"[{'=' * done}>{' ' * (_BAR - done)}] " if self._width() > 110 else ""
        if progress.get("hidecounts"):
            return bar
        if units:
            return f"{bar}{current} {units}" if current > total else f"{bar}{current}/{total} {units}"
        left = f"{human_size(current):>8}"
        return bar + (left if current > total else f"{left}/{human_size(total)}")

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._fd or 1).columns
        except OSError:
            return 200

    def _write(self, text: str) -> None:
        if text and self._fd is not None:
            write(self._fd, text.encode("utf-8", "surrogateescape"))
