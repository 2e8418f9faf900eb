"""Values of settings that are written in more than one way: sizes, resource limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wherry.lib.errors import InvalidArgument
from wherry.runtime.spec_process import ULIMITS
from wherry.wire.container import Ulimit

_UNITS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}


def size(value: object) -> int:
    """Bytes of ``64m`` (go-units' RAMInBytes) or of a number. Raises InvalidArgument."""
    text = str(value).strip().lower()
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(i?b)?", text)
    if match is None or isinstance(value, bool):
        raise InvalidArgument(f"invalid size: '{value}'")
    return int(float(match[1]) * (1 << _UNITS[match[2]]))


def ulimits(given: Sequence[str] | Mapping[str, Any]) -> tuple[Ulimit, ...]:
    """``nofile=1024:2048`` of flags, or the objects of a configuration file by name. Raises InvalidArgument."""
    if isinstance(given, Mapping):
        return tuple(_from_file(name, value) for name, value in given.items())
    return tuple(_from_flag(text) for text in given)


def _from_flag(text: str) -> Ulimit:
    name, _, limits = text.partition("=")
    soft, colon, hard = limits.partition(":")
    try:
        return _checked(Ulimit(name=name, soft=int(soft), hard=int(hard) if colon else int(soft)))
    except ValueError:
        raise InvalidArgument(f"invalid ulimit argument: {text}") from None


def _from_file(name: str, value: Any) -> Ulimit:
    try:
        return _checked(Ulimit(name=str(value.get("Name", name)), soft=int(value["Soft"]), hard=int(value["Hard"])))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InvalidArgument(f"invalid value for default-ulimits: {name}: {value!r}") from None


def _checked(limit: Ulimit) -> Ulimit:
    if limit.name not in ULIMITS:
        raise InvalidArgument(f"invalid ulimit type: {limit.name}")
    if limit.hard >= 0 and (limit.soft < 0 or limit.soft > limit.hard):
        raise InvalidArgument(
            f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
        )
    return limit
