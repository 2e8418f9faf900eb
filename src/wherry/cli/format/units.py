"""Sizes and durations in words, as Docker's go-units writes and reads them."""

from __future__ import annotations

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def _scaled(size: float, base: float, units: tuple[str, ...], precision: int) -> str:
    step = 0
    while size >= base and step < len(units) - 1:
        size /= base
        step += 1
    return f"{size:.{precision}g}{units[step]}"


def human_size(size: float, precision: int = 4) -> str:
    """Powers of 1000: 1.98MB."""
    return _scaled(float(size), 1000.0, _DECIMAL, precision)


def bytes_size(size: float) -> str:
    """Powers of 1024: 5.79GiB."""
    return _scaled(float(size), 1024.0, _BINARY, 4)


def human_duration(seconds: float) -> str:
    """Roughly how long: "About a minute", "3 weeks"."""
    whole = int(seconds)
    minutes = int(seconds / 60)
    hours = int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    for below, unit, name in ((48, 1, "hours"), (336, 24, "days"), (1440, 168, "weeks"), (17520, 720, "months")):
        if hours < below:
            return f"{hours // unit} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def ram_in_bytes(text: str) -> int:
    """Read "512m", "1.5 GiB", "64" (powers of 1024). Raises ``ValueError`` with Docker's words."""
    end = max((text.rfind(character) for character in "0123456789. "), default=-1)
    if end < 0:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = (text[:end] if text[end] == " " else text[: end + 1]), text[end + 1 :].lower()
    try:
        size = float("" if "_" in number or number != number.strip() else number)
    except ValueError:
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax') from None
    if size < 0:
        raise ValueError(f"invalid size: '{text}'")
    if suffix in {"", "b"}:
        return int(size)
    if suffix[0] not in _POWERS or suffix[1:] not in {"", "b", "ib"}:
        raise ValueError(f"invalid suffix: '{suffix}'")
    return int(size * 1024 ** _POWERS[suffix[0]])
