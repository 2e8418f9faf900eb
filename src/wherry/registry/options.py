"""Reading single values out of a section of the configuration; ``where`` is the section, for the words of a refusal."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.lib.errors import InvalidArgument
from wherry.lib.timespan import parse_duration

Options = Mapping[str, object]


def span(value: object) -> float:
    """A Go duration in seconds; a plain number is nanoseconds, as Go reads it. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value / 1e9
    return parse_duration(str(value)) / 1e9


def fields(where: str, given: Mapping[str, object]) -> dict[str, str]:
    """Header fields, each a text or a list of them. Raises InvalidArgument."""
    found = {}
    for name, value in given.items():
        joined = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if any(char in f"{name}{joined}" for char in "\r\n"):
            raise InvalidArgument(f"{where}{name}: a line break")
        found[str(name)] = joined
    return found


def text(options: Options, name: str) -> str:
    """A text that may be given."""
    value = options.get(name)
    return "" if value is None else str(value)


def needed(where: str, options: Options, name: str) -> str:
    """A text that must be given. Raises InvalidArgument."""
    value = options.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f'{where}: "{name}" must be set')
    return value


def flag(where: str, options: Options, name: str, *, default: bool = False) -> bool:
    """True or false. Raises InvalidArgument."""
    value = options.get(name)
    if value is None:
        return default
    if value in (True, "true"):
        return True
    if value in (False, "false", ""):
        return False
    raise InvalidArgument(f"{where}: {name}: {value!r} is neither true nor false")


def seconds(where: str, options: Options, name: str, default: float) -> float:
    """A Go duration. Raises InvalidArgument."""
    value = options.get(name)
    if value is None or value == "":
        return default
    try:
        return span(value)
    except ValueError as error:
        raise InvalidArgument(f"{where}: {name}: {error}") from None


def number(where: str, options: Options, name: str, default: int) -> int:
    """A number from 1 on; 0 is the default, as in Go. Raises InvalidArgument."""
    value = options.get(name) or default
    if not isinstance(value, int) or value < 1:
        raise InvalidArgument(f"{where}: {name}: {value!r} is no number from 1 on")
    return value


def strings(where: str, options: Options, name: str) -> tuple[str, ...]:
    """A list of texts. Raises InvalidArgument."""
    value = options.get(name) or ()
    if not isinstance(value, (list, tuple)):
        raise InvalidArgument(f"{where}: {name} should be a list")
    return tuple(str(one) for one in value)


def headers(where: str, options: Options, name: str = "headers") -> dict[str, str]:
    """A mapping of header fields. Raises InvalidArgument."""
    return fields(f"{where}: {name}: ", section(where, options, name))


def section(where: str, options: Options, name: str) -> Options:
    """A mapping inside. Raises InvalidArgument."""
    value = options.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"{where}: {name} should be a mapping")
    return value


def sections(where: str, options: Options, name: str) -> list[Options]:
    """A list of mappings inside. Raises InvalidArgument."""
    value = options.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InvalidArgument(f"{where}: {name} should be a list of mappings")
    return value
