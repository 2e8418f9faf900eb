"""The texts of ``--help``, drawn from the tables of options as docker draws them."""

from __future__ import annotations

import os

from wherry.cli import tree
from wherry.cli.app import NAME
from wherry.cli.config import default_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wherry.cli.flags import Command, Option

_SLOP = 5
_NARROW = 24
_ZERO = {"", "0", "false", "<nil>"}
_TYPES = {"bool": "", "strings": "strings"}


def root() -> str:
    """The text of ``wherry --help``: what is built."""
    from wherry.cli.main import SETTINGS

    parts = [f"Usage:  {NAME} [OPTIONS] COMMAND\n\nA container engine in Python, compatible with Docker"]
    groups = {name: (short, "yes" if table else "") for name, (short, table) in tree.GROUPS.items()}
    for title, table in (("Common Commands", tree.COMMON), ("Management Commands", groups), ("Commands", tree.TOP)):
        parts.append(f"{title}:\n{_table(table)}")
    parts += [
        f"Global Options:\n{_options(_with_paths(SETTINGS))}",
        f"Run '{NAME} COMMAND --help' for more information on a command.",
    ]
    return "\n\n".join(parts) + "\n"


def group(name: str) -> str:
    """The text of a group of commands."""
    short, table = tree.GROUPS[name]
    path = f"{NAME} {name}"
    return (
        f"Usage:  {path} COMMAND\n\n{short}\n\nCommands:\n{_table(table)}\n\n"
        f"Run '{path} COMMAND --help' for more information on a command.\n"
    )


def command(found: Command, path: str) -> str:
    """The text of one command."""
    parts = [f"Usage:  {found.use_line(path)}", found.long or found.short]
    if found.aliases:
        listed = ", ".join(f"{NAME} {alias}" for alias in found.aliases.split(", "))
        parts.append(f"Aliases:\n  {listed}")
    options = _options(found.options)
    if options:
        parts.append(f"Options:\n{options}")
    return "\n\n".join(parts) + "\n"


def _table(table: tree.Table) -> str:
    return "\n".join(f"  {name:<11} {short}" for name, (short, place) in table.items() if place)


def _with_paths(options: Iterable[Option]) -> list[Option]:
    from wherry.cli.flags import Option as Row

    directory = default_directory()
    defaults = {
        "config": directory,
        "tlscacert": os.path.join(directory, "ca.pem"),
        "tlscert": os.path.join(directory, "cert.pem"),
        "tlskey": os.path.join(directory, "key.pem"),
    }
    return [
        Row(one.name, one.short, one.kind, one.usage, default=defaults.get(one.name, one.default)) for one in options
    ]


def _options(options: Sequence[Option]) -> str:
    rows = []
    for option in sorted(options, key=lambda one: one.name):
        if option.hidden or option.os not in {"", "linux"}:
            continue
        head = f"  -{option.short}, --{option.name}" if option.short else f"      --{option.name}"
        shown = _TYPES.get(option.kind, option.kind)
        if shown:
            head += f" {shown}"
        rows.append((head, option.usage + _default(option)))
    width = max((len(head) for head, _ in rows), default=0) + 3
    columns = _columns() - 1
    return "\n".join(f"{head:<{width}}{_wrap(width, columns, text)}" for head, text in rows)


def _default(option: Option) -> str:
    default = option.default
    if option.kind == "map":
        return " (default map[])"
    if option.kind == "ulimit" or option.check in {"weight_device", "rate_device", "iops_device"}:
        return " (default [])"
    if option.kind == "string" and default:
        return f' (default "{default}")'
    text = str(default).lower() if isinstance(default, bool) else str(default or "")
    return "" if text in _ZERO else f" (default {text})"


def _columns() -> int:
    try:
        return os.get_terminal_size(0).columns
    except OSError:
        return 80


def _wrap(indent: int, columns: int, text: str) -> str:
    """Wrap as pflag does: the first line is already indented, a last word may stick out by five."""
    room = columns - indent
    lead = ""
    if room < _NARROW:
        indent = 16
        room = columns - indent
        lead = "\n" + " " * indent
    if room < _NARROW:
        return text.replace("\n", lead)
    room -= _SLOP
    lines = []
    while True:
        line, text = _cut(room, text)
        lines.append(line)
        if not text:
            break
    glue = "\n" + " " * indent
    return (
        lead + glue.join(lines).replace("\n", glue) if lead else glue.join(line.replace("\n", glue) for line in lines)
    )


def _cut(room: int, text: str) -> tuple[str, str]:
    if room + _SLOP > len(text.encode()):
        return text, ""
    window = text[:room]
    space = max(window.rfind(" "), window.rfind("\t"), window.rfind("\n"))
    if space <= 0:
        return text, ""
    newline = window.rfind("\n")
    if 0 < newline < space:
        return text[:newline], text[newline + 1 :]
    return text[:space], text[space + 1 :]
