"""Signals by name and number, as ``kill -s``, ``--stop-signal`` and STOPSIGNAL write them."""

from __future__ import annotations

import signal

from wherry.lib.errors import InvalidArgument

_HIGHEST = 64


def parse_signal(text: str) -> int:
    """The number of ``SIGKILL``, ``kill``, ``9``, ``RTMIN+3``. Raises InvalidArgument in Docker's words."""
    name = text.upper().removeprefix("SIG")
    if text.isdecimal():
        number = int(text)
        if not 1 <= number <= _HIGHEST:
            raise InvalidArgument(f"invalid signal: {text}")
        return number
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    try:
        number = int(signal.Signals[f"SIG{base}"])
    except KeyError:
        raise InvalidArgument(f"invalid signal: {text}") from None
    if not sign:
        return number
    if base not in ("RTMIN", "RTMAX") or not offset.isdecimal():
        raise InvalidArgument(f"invalid signal: {text}")
    number += int(offset) if sign == "+" else -int(offset)
    if not signal.SIGRTMIN <= number <= signal.SIGRTMAX:
        raise InvalidArgument(f"invalid signal: {text}")
    return number
