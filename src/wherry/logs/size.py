"""Sizes as Docker's options write them: ``10m``, ``1.5 GB``, ``64KiB``. The words of refusal are go-units'."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(?P<number>.*[0-9.]) ?(?P<suffix>[^0-9. ]*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_UNITS = "kmgtp"


def human_size(text: str) -> int:
    """Bytes of ``text`` where k is 1000. Raises ValueError."""
    return _size(text, 1000)


def ram_size(text: str) -> int:
    """Bytes of ``text`` where k is 1024. Raises ValueError."""
    return _size(text, 1024)


def _size(text: str, base: int) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = match["number"], match["suffix"].lower()
    if not _NUMBER.fullmatch(number):
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax')
    value = float(number)
    if value < 0:
        raise ValueError(f"invalid size: '{text}'")
    if suffix in ("", "b"):
        return int(value)
    if suffix[0] not in _UNITS or suffix[1:] not in ("", "b", "ib"):
        raise ValueError(f"invalid suffix: '{suffix}'")
    return int(value * base ** (_UNITS.index(suffix[0]) + 1))
