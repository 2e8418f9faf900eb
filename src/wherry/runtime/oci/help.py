"""The help texts, laid out as runc's. Imported only when one is shown."""

from __future__ import annotations

from wherry import __version__
from wherry.runtime.oci.arguments import Command, Flag
from wherry.runtime.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE = """Open Container Initiative runtime

wherry-oci runs applications packaged according to the Open Container Initiative (OCI)
format, with the commands, flags and words of runc.

Containers are configured using bundles. A bundle for a container is a directory
that includes a specification file named "config.json" and a root filesystem.
The root filesystem contains the contents of the container.

To start a new instance of a container:

    # wherry-oci run [ -b bundle ] <container-id>

Where "<container-id>" is your name for the instance of the container that you
are starting. The name you provide for the container instance must be unique on
your host. Providing the bundle directory using "-b" is optional. The default
value for "bundle" is the current directory."""


def version() -> str:
    """What ``--version`` prints."""
    return f"wherry-oci version {__version__}\nspec: {VERSION}\n"


def application(flags: Sequence[Flag], commands: Sequence[Command]) -> str:
    """The help of the whole command."""
    listed = [(command.name, command.usage) for command in commands] + [
        ("help, h", "Shows a list of commands or help for one command")
    ]
    width = max(len(name) for name, _ in listed) + 2
    lines = "".join(f"   {name:<{width}}{usage}\n" for name, usage in listed)
    indented = version().strip().replace("\n", "\n   ")
    return (
        f"NAME:\n   wherry-oci - {_USAGE}\n\n"
        "USAGE:\n   wherry-oci [global options] command [command options] [arguments...]\n\n"
        f"VERSION:\n   {indented}\n\nCOMMANDS:\n{lines}\nGLOBAL OPTIONS:\n{_flags(flags)}"
    )


def command(given: Command) -> str:
    """The help of one command."""
    shown = [flag for flag in given.flags if flag.names[0] != "help"]
    options = " [command options]" if shown else ""
    name = f"wherry-oci {given.name}"
    text = f"NAME:\n   {name} - {given.usage}\n\nUSAGE:\n   {name}{options} {given.arguments}\n"
    if given.description:
        text += f"\nDESCRIPTION:\n   {given.description}\n"
    if shown:
        text += f"\nOPTIONS:\n{_flags(shown)}   \n"
    return text


def _flags(flags: Sequence[Flag]) -> str:
    rows = [(_names(flag), _usage(flag)) for flag in flags if not flag.hidden]
    width = max(len(names) for names, _ in rows) + 2
    return "".join(f"   {names:<{width}}{usage}\n" for names, usage in rows)


def _names(flag: Flag) -> str:
    value = "" if flag.kind == "bool" else " value"
    return ", ".join(f"{'-' if len(name) == 1 else '--'}{name}{value}" for name in flag.names)


def _usage(flag: Flag) -> str:
    if flag.kind == "int":
        return f"{flag.usage} (default: {flag.default})"
    if flag.kind == "duration":
        return f"{flag.usage} (default: {flag.default // 1_000_000_000}s)"
    if flag.kind == "string" and flag.default:
        return f'{flag.usage} (default: "{flag.default}")'
    return flag.usage
