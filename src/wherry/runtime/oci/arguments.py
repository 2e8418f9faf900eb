"""Command lines as runc's library (urfave/cli, Go's flag) reads them. Pure; without argparse, which costs 25 ms.

    -name  --name  --name=value  --name value     the same with one dash or two
    --flag  --flag=false                          a boolean never takes the next word
    --                                            what follows are arguments

Flags may stand behind the arguments, but for the verbs that pass on a command line of somebody else (``in_order``).
"""

from __future__ import annotations

from wherry.runtime.oci.errors import Failure, UsageError
from wherry.runtime.oci.report import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wherry.runtime.oci.report import Report

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
# ns by Go's names of the units, longest first.
_UNITS = (
    ("ns", 1), ("us", 1_000), ("µs", 1_000), ("μs", 1_000), ("ms", 1_000_000),
    ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
)  # fmt: skip


class Flag:
    """One option: its names (the first is its key), what it holds, and its line of help."""

    __slots__ = ("default", "hidden", "kind", "names", "usage")

    def __init__(
        self, names: str, usage: str, kind: str = "string", default: Any = None, *, hidden: bool = False
    ) -> None:
        self.names = tuple(name.strip() for name in names.split(","))
        self.usage = usage
        self.kind = kind
        """string, bool, int, strings, ints or duration (ns)."""
        self.default = _EMPTY[kind] if default is None else default
        self.hidden = hidden


_EMPTY: dict[str, Any] = {"string": "", "bool": False, "int": 0, "strings": (), "ints": (), "duration": 0}
HELP = Flag("help, h", "show help", "bool")


class Options:
    """The flags of one command line: what was given, else the defaults."""

    def __init__(self, flags: Sequence[Flag]) -> None:
        self._values: dict[str, Any] = {flag.names[0]: flag.default for flag in flags}
        self._given: set[str] = set()

    def put(self, flag: Flag, text: str) -> None:
        """A value from the command line. Raises UsageError."""
        name = flag.names[0]
        value = _convert(flag, text)
        if flag.kind in ("strings", "ints"):
            value = (*self._values[name], *value)
        self._values[name] = value
        self._given.add(name)

    def given(self, name: str) -> bool:
        """Whether it was on the command line."""
        return name in self._given

    def text(self, name: str) -> str:
        """Of a string flag."""
        return str(self._values[name])

    def flag(self, name: str) -> bool:
        """Of a bool flag."""
        return bool(self._values[name])

    def number(self, name: str) -> int:
        """Of an int or duration flag."""
        return int(self._values[name])

    def texts(self, name: str) -> tuple[str, ...]:
        """Of a strings flag."""
        return tuple(self._values[name])

    def numbers(self, name: str) -> tuple[int, ...]:
        """Of an ints flag."""
        return tuple(self._values[name])


class Command:
    """One verb: what it takes and what it does. ``action`` returns the exit code."""

    def __init__(
        self,
        name: str,
        action: Callable[[Call], int],
        *,
        usage: str,
        arguments: str = "",
        description: str = "",
        flags: Sequence[Flag] = (),
        least: int = 1,
        most: int | None = 1,
        in_order: bool = False,
    ) -> None:
        self.name = name
        self.action = action
        self.usage = usage
        self.arguments = arguments
        """What follows the flags in the line of help."""
        self.description = description
        self.flags = (*flags, HELP)
        self.least = least
        self.most = most
        """How many arguments it takes; None is any number."""
        self.in_order = in_order


class Call:
    """One run of one command."""

    def __init__(self, settings: Options, options: Options, arguments: list[str], report: Report) -> None:
        self.settings = settings
        """The flags in front of the command."""
        self.options = options
        self.arguments = arguments
        self.report = report

    @property
    def id(self) -> str:
        """The container's; Failure if it is empty."""
        if not self.arguments[0]:
            raise Failure("container id cannot be empty")
        return self.arguments[0]


def parse_settings(flags: Sequence[Flag], words: Sequence[str]) -> tuple[Options, list[str]]:
    """The flags up to the first word that is none, and the words from there. Raises UsageError."""
    return _parse(flags, words, in_order=True, prefix="Incorrect Usage. ")


def parse(command: Command, words: Sequence[str]) -> tuple[Options, list[str]]:
    """A command's flags and arguments. Raises UsageError."""
    options, arguments = _parse(command.flags, words, in_order=command.in_order, prefix="Incorrect Usage: ")
    if not options.flag("help"):
        _check_count(command, len(arguments))
    return options, arguments


def _parse(flags: Sequence[Flag], words: Sequence[str], *, in_order: bool, prefix: str) -> tuple[Options, list[str]]:
    options = Options(flags)
    known = {name: flag for flag in flags for name in flag.names}
    rest = list(words)
    arguments: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            return options, arguments + rest
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or word == "-" or (arguments and name not in known):
            arguments.append(word)
            if in_order:
                return options, arguments + rest
            continue
        try:
            _take(options, known.get(name), word, value if equals else None, rest)
        except UsageError as error:
            error.shown = prefix + str(error)
            raise
    return options, arguments


def _take(options: Options, flag: Flag | None, word: str, value: str | None, rest: list[str]) -> None:
    name = word.lstrip("-").partition("=")[0]
    if word.startswith("---") or not name:
        raise UsageError(f"bad flag syntax: {word}")
    if flag is None:
        raise UsageError(f"flag provided but not defined: -{name}")
    if flag.kind == "bool":
        if value is not None and value not in (*_TRUE, *_FALSE):
            raise UsageError(f"invalid boolean value {quote(value)} for -{name}: parse error")
        options.put(flag, "true" if value is None else value)
        return
    if value is None:
        if not rest:
            raise UsageError(f"flag needs an argument: -{name}")
        value = rest.pop(0)
    try:
        options.put(flag, value)
    except ValueError:
        raise UsageError(f"invalid value {quote(value)} for flag -{name}: parse error") from None


def _convert(flag: Flag, text: str) -> Any:
    match flag.kind:
        case "bool":
            return text in _TRUE
        case "int":
            return integer(text)
        case "duration":
            return duration(text)
        case "strings":
            return (text,)
        case "ints":
            return (integer(text),)
    return text


def integer(text: str) -> int:
    """As Go's strconv.ParseInt with base 0: decimal, 0x…, 0o…, 0b…. Raises ValueError."""
    if not text.isascii() or text != text.strip():
        raise ValueError(text)
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return int(text, 8)
    return int(text, 0)


def duration(text: str) -> int:
    """As Go's time.ParseDuration (``1m30s``, ``1.5h``), in ns. Raises ValueError."""
    sign = -1 if text.startswith("-") else 1
    rest = text.lstrip("+-") if len(text) - len(text.lstrip("+-")) <= 1 else ""
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(text)
    total = 0.0
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = next((unit for unit in _UNITS if rest.startswith(unit[0])), None)
        if unit is None:
            raise ValueError(text)
        total += float(number) * unit[1]
        rest = rest[len(unit[0]) :]
    return sign * round(total)


def _check_count(command: Command, count: int) -> None:
    name, least, most = quote(command.name), command.least, command.most
    if least == most and count != least:
        raise UsageError(f"wherry-oci: {name} requires exactly {least} argument(s)")
    if count < least:
        raise UsageError(f"wherry-oci: {name} requires a minimum of {least} argument(s)")
    if most is not None and count > most:
        raise UsageError(f"wherry-oci: {name} requires a maximum of {most} argument(s)")
