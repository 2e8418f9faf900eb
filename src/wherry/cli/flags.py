"""Command lines by Docker's rules (those of Go's pflag), from tables of options.

    -a -b, -ab          short booleans in a row        --name value, --name=value
    -n5, -n 5, -n=5     a short option with its value  --flag, --flag=false
    --                  ends the options

An option is one row: name, short letter, kind, what it does. The kind decides how its text is read and what ``--help``
shows. Plain classes, no dataclasses: this file is loaded by every command, and ``dataclasses`` costs 15 ms.
"""

from __future__ import annotations

from wherry.cli.errors import CliError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wherry.cli.app import App

    Values = dict[str, Any]

_EMPTY: dict[str, Callable[[], object]] = {
    "bool": lambda: False,
    "int": lambda: 0,
    "string": str,
    "list": list,
    "strings": list,
    "map": dict,
    "filter": dict,
}
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class Option:
    """One row of a table of options."""

    __slots__ = ("check", "default", "hidden", "kind", "name", "note", "os", "short", "since", "target", "usage")

    def __init__(
        self,
        name: str,
        short: str = "",
        kind: str = "bool",
        usage: str = "",
        *,
        default: object = None,
        check: str = "",
        hidden: bool = False,
        note: str = "",
        since: str = "",
        os: str = "",
        target: str = "",
    ) -> None:
        """``check`` names a reader in ``cli/values``, ``note`` a deprecation, ``target`` the option this stands for."""
        self.name = name
        self.short = short
        self.kind = kind
        self.usage = usage
        self.default = default
        self.check = check
        self.hidden = hidden or bool(note)
        self.note = note
        self.since = since
        self.os = os
        self.target = target or name

    def empty(self) -> object:
        """The value when the option is not given."""
        if self.default is not None:
            return self.default
        return _EMPTY.get(self.kind, lambda: None)()

    def shown(self) -> str:
        """How messages name it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Parsed:
    """A command line, read. ``parsed["name"]`` is an option's value or its default."""

    __slots__ = ("args", "changed", "values")

    def __init__(self, values: Values) -> None:
        self.values = values
        self.changed: list[Option] = []
        self.args: list[str] = []

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def given(self, name: str) -> bool:
        """Whether the option stood on the command line."""
        return any(name in {option.name, option.target} for option in self.changed)


class Command:
    """One command: its options, how many arguments it takes, and the function that does it."""

    __slots__ = (
        "aliases",
        "interspersed",
        "long",
        "maximum",
        "minimum",
        "options",
        "run",
        "short",
        "usage",
    )

    def __init__(
        self,
        run: Callable[[App, Parsed], int | None],
        *,
        usage: str,
        short: str,
        options: Sequence[Option] = (),
        minimum: int = 0,
        maximum: int | None = None,
        interspersed: bool = True,
        aliases: str = "",
        long: str = "",
    ) -> None:
        """``usage`` follows the command's name; ``maximum`` None is unbounded; ``run`` returns the exit code."""
        self.run = run
        self.usage = usage
        self.short = short
        self.options = options
        self.minimum = minimum
        self.maximum = maximum
        self.interspersed = interspersed
        self.aliases = aliases
        self.long = long

    def use_line(self, path: str) -> str:
        """The command's line in usage texts."""
        return f"{path} {self.usage}".rstrip()

    def check_arguments(self, path: str, count: int) -> None:
        """Raise Docker's words for too few or too many arguments."""
        low, high = self.minimum, self.maximum
        if count >= low and (high is None or count <= high):
            return
        see = "Run"
        if high == 0:
            complaint = "accepts no arguments"
        elif low == high:
            complaint = f"requires {_arguments(low)}"
        elif high is None:
            complaint, see = f"requires at least {_arguments(low)}", "See"
        elif low:
            complaint = f"requires at least {low} and at most {_arguments(high)}"
        else:
            complaint = f"requires at most {_arguments(high)}"
        program = path.partition(" ")[0]
        raise UsageError(
            f"{program}: '{path}' {complaint}\n\nUsage:  {self.use_line(path)}\n\n"
            f"{see} '{path} --help' for more information"
        )


class HelpWanted(Exception):
    """The user asked for help; ``deprecated`` if by ``-h``."""

    def __init__(self, *, deprecated: bool) -> None:
        super().__init__()
        self.deprecated = deprecated


class FlagError(Exception):
    """An option's text makes no sense; the caller adds the usage."""


def _arguments(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"


def parse(
    options: Sequence[Option], argv: Sequence[str], *, interspersed: bool, warn: Callable[[str], None] | None = None
) -> Parsed:
    """Read a command line. Raises ``FlagError``, or ``HelpWanted`` once the rest has proved right."""
    parsed = Parsed({option.target: option.empty() for option in reversed(options)})
    long = {option.name: option for option in options}
    short = {option.short: option for option in options if option.short}
    rest = list(argv)
    rest.reverse()  # pop() takes the next word
    wanted: HelpWanted | None = None
    while rest:
        word = rest.pop()
        if len(word) < 2 or word[0] != "-":
            parsed.args.append(word)
            if not interspersed:
                break
        elif word == "--":
            break
        elif word.startswith("--"):
            option, text = _long(word, long, rest)
            if option is None:
                wanted = wanted or HelpWanted(deprecated=False)
            else:
                _set(parsed, option, text, warn)
        else:
            wanted = _letters(parsed, word[1:], short, rest, warn) or wanted
    rest.reverse()
    parsed.args += rest
    if parsed.values.get("help"):
        wanted = HelpWanted(deprecated=False)
    if wanted is not None:
        raise wanted
    return parsed


def _letters(
    parsed: Parsed, letters: str, known: dict[str, Option], rest: list[str], warn: Callable[[str], None] | None
) -> HelpWanted | None:
    """Take in the short options of one word."""
    wanted = None
    while letters:
        if letters[0] == "h" and "h" not in known:
            wanted = HelpWanted(deprecated=True)
            letters = letters[1:]
        else:
            option, text, letters = _short(letters, known, rest)
            _set(parsed, option, text, warn)
    return wanted


def _long(word: str, known: dict[str, Option], rest: list[str]) -> tuple[Option | None, str]:
    name, has_value, text = word[2:].partition("=")
    if not name or name[0] in "-=":
        raise FlagError(f"bad flag syntax: {word}")
    option = known.get(name)
    if option is None:
        if name == "help":
            return None, ""
        raise FlagError(f"unknown flag: --{name}")
    if has_value:
        return option, text
    if option.kind == "bool":
        return option, "true"
    if not rest:
        raise FlagError(f"flag needs an argument: {word}")
    return option, rest.pop()


def _short(letters: str, known: dict[str, Option], rest: list[str]) -> tuple[Option, str, str]:
    letter, tail = letters[0], letters[1:]
    option = known.get(letter)
    if option is None:
        raise FlagError(f"unknown shorthand flag: '{letter}' in -{letters}")
    if len(tail) > 1 and tail[0] == "=":
        return option, tail[1:], ""
    if option.kind == "bool":
        return option, "true", tail
    if tail:
        return option, tail, ""
    if not rest:
        raise FlagError(f"flag needs an argument: '{letter}' in -{letters}")
    return option, rest.pop(), ""


def _set(parsed: Parsed, option: Option, text: str, warn: Callable[[str], None] | None) -> None:
    if option.note and warn is not None:
        warn(f"Flag --{option.name} has been deprecated, {option.note}")
    try:
        _store(parsed.values, option, text)
    except (ValueError, CliError) as error:
        shown = text.replace("\\", "\\\\").replace('"', '\\"')
        raise FlagError(f'invalid argument "{shown}" for "{option.shown()}" flag: {error}') from error
    parsed.changed.append(option)


def _store(values: Values, option: Option, text: str) -> None:
    key, kind = option.target, option.kind
    if kind == "bool":
        if text not in _TRUE and text not in _FALSE:
            raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
        values[key] = text in _TRUE
    elif kind == "filter":
        if text:
            name, found, value = text.partition("=")
            if not found:
                raise ValueError("bad format of filter (expected name=value)")
            values[key] = filters = {name: dict(given) for name, given in values[key].items()}
            filters.setdefault(name.strip().lower(), {})[value.strip()] = True
    elif kind == "int" and not option.check:
        values[key] = integer(text)
    else:
        value = _checked(option, text)
        if kind == "map":
            name, _, value = str(value).partition("=")
            values[key] = {**values[key], name: value}
        elif isinstance(values[key], list):
            values[key] = [*values[key], *value] if kind == "strings" else [*values[key], value]
        else:
            values[key] = value


def _checked(option: Option, text: str) -> Any:
    if not option.check:
        return text.split(",") if option.kind == "strings" else text
    import wherry.cli.values as readers

    return getattr(readers, option.check)(text)


def integer(text: str, *, unsigned: bool = False, bits: int = 64) -> int:
    """A whole number by Go's strconv with base 0: decimal, 0x, 0o, 0b. Raises ``ValueError`` with its words."""
    reader = "ParseUint" if unsigned else "ParseInt"
    digits = text[1:] if text[:1] in {"+", "-"} and not unsigned else text
    octal = digits[:1] == "0" and digits.strip("_").isdigit() and len(digits) > 1
    try:
        value = int(digits if digits[:1].isdigit() else "", 8 if octal else 0)
    except ValueError:
        raise ValueError(f'strconv.{reader}: parsing "{text}": invalid syntax') from None
    value = -value if text[0] == "-" else value
    low, high = (0, (1 << bits) - 1) if unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)
    if not low <= value <= high:
        raise ValueError(f'strconv.{reader}: parsing "{text}": value out of range')
    return value
