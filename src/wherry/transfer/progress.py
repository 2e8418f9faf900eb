"""The JSON lines that a client shows while an image moves (Docker's jsonmessage)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from wherry.lib.ids import short

_BAR = 50
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far it got, in bytes."""

    current: int = 0
    total: int = 0


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One line."""

    stream: str = ""
    status: str = ""
    progress_detail: Detail | None = None
    progress: str = ""
    id: str = ""
    error_detail: dict[str, str] | None = None
    error: str = ""


Say = Callable[[Message], None]
"""Tells the client; called from any thread."""


def encode(message: Message) -> bytes:
    """The line as it is sent."""
    return msgspec.json.encode(message) + b"\r\n"


def said(text: str) -> Message:
    """A line to print as it is."""
    return Message(stream=f"{text}\n")


def failed(text: str) -> Message:
    """The last line, when it went wrong after the status line had been sent."""
    return Message(error_detail={"message": text}, error=text)


def loading(diff_id: str, current: int, total: int) -> Message:
    """A layer on its way into the store."""
    return Message(
        status="Loading layer",
        progress_detail=Detail(current, total),
        progress=_bar(current, total),
        id=short(diff_id),
    )


def moved(what: str, status: str, detail: Detail | None = None) -> Message:
    """What becomes of a layer (its digest or id); with figures, how far it is."""
    figures = detail or Detail()
    bar = _bar(figures.current, figures.total) if figures.current else ""
    return Message(status=status, progress_detail=figures, progress=bar, id=short(what))


def retrying(seconds: int) -> str:
    """The status of what waits for its next attempt."""
    return f"Retrying in {seconds} second{'' if seconds == 1 else 's'}"


def told(status: str) -> Message:
    """A line of its own, which the client ends."""
    return Message(status=status)


def auxiliary(value: dict[str, object]) -> bytes:
    """A line that is not for people, as it is sent."""
    return msgspec.json.encode({"progressDetail": {}, "aux": value}) + b"\r\n"


def human_size(count: float) -> str:
    """Bytes in powers of ten with four digits, as Docker's progress shows them."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.4g}{_UNITS[unit]}"


def _bar(current: int, total: int) -> str:
    if total <= 0 or current > total:
        return f"{human_size(current):>8}"
    filled = int(current / total * 100) // 2
    return f"[{'=' * filled}>{' ' * (_BAR - filled)}] {human_size(current):>8}/{human_size(total)}"
