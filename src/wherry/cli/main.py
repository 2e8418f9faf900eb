"""The ``wherry`` command: find the command named, load its file, run it, turn what happened into an exit code.

The fast path imports nothing that the command does not use and nothing outside the standard library: ``wherry version``
must not cost more than 45 ms, of which the bare interpreter takes 14.
"""

from __future__ import annotations

import os
import sys

from wherry.cli import tree
from wherry.cli.app import NAME, App, write
from wherry.cli.errors import CliError, UsageError
from wherry.cli.flags import Command, FlagError, HelpWanted, Option, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.flags import Parsed

SETTINGS = (
    Option("config", "", "string", "Location of client config files"),
    Option(
        "context",
        "c",
        "string",
        "Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and default context set "
        'with "docker context use")',
    ),
    Option("debug", "D", "bool", "Enable debug mode"),
    Option("host", "H", "list", "Daemon socket to connect to"),
    Option(
        "log-level", "l", "string", 'Set the logging level ("debug", "info", "warn", "error", "fatal")', default="info"
    ),
    Option("tls", "", "bool", "Use TLS; implied by --tlsverify"),
    Option("tlscacert", "", "string", "Trust certs signed only by this CA"),
    Option("tlscert", "", "string", "Path to TLS certificate file"),
    Option("tlskey", "", "string", "Path to TLS key file"),
    Option("tlsverify", "", "bool", "Use TLS and verify the remote"),
    Option("version", "v", "bool", "Print version information and quit"),
)


def main() -> None:
    """Run the process's command line and end the process. Skipping the interpreter's tear-down saves 5 ms."""
    _open_standard_descriptors()
    os._exit(run(sys.argv[1:]))


def _open_standard_descriptors() -> None:
    """Whoever started us with stdin, stdout or stderr closed must not find our sockets under their numbers."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", os.O_RDWR)  # the lowest free number is fd


def run(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code."""
    try:
        return _run(argv) or 0
    except CliError as error:
        return _fail(str(error), error.code)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from wherry.client.errors import ClientError

        if isinstance(error, ClientError):
            return _fail(str(error), 1)
        raise


def _fail(message: str, code: int) -> int:
    if message:
        try:
            write(2, f"{message}\n".encode("utf-8", "surrogateescape"))
        except CliError:
            return code
    return code


def _run(argv: Sequence[str]) -> int | None:
    try:
        settings = parse(SETTINGS, argv, interspersed=False)
    except FlagError as error:
        raise UsageError(_flag_error(error, f"{NAME} [OPTIONS] COMMAND [ARG...]", NAME), 125) from error
    except HelpWanted as wanted:
        return _root_help(wanted)
    app = App(settings)
    if settings["version"]:
        from wherry import __version__

        app.line(f"wherry version {__version__}")
        return 0
    for name in ("tls", "tlsverify"):
        if settings[name]:
            raise CliError(f"{NAME}: --{name} is not built yet")
    words = settings.args
    if not words:
        from wherry.cli import help as texts

        app.err(texts.root())
        return 0
    if words[0] == "help":
        return _help(words[1:])
    return _dispatch(app, words)


def _dispatch(app: App, words: list[str]) -> int | None:
    depth = 1
    if words[0] in tree.GROUPS:
        table = tree.GROUPS[words[0]][1]
        if not table:
            raise CliError(f"{NAME}: '{words[0]}' is not built yet")
        if len(words) == 1 or words[1].startswith("-"):
            return _group(words)
        depth = 2
    command = _load(words[:depth])
    app.path = " ".join([NAME, *words[:depth]])
    return _call(app, command, words[depth:])


def _load(words: list[str]) -> Command:
    name, row = tree.find(words)
    if row is None:
        path = " ".join([NAME, *words])
        if len(words) == 1:
            raise UsageError(f"{NAME}: unknown command: {path}\n\nRun '{NAME} --help' for more information")
        group = f"{NAME} {words[0]}"
        raise UsageError(
            f"{NAME}: unknown command: {path}\n\nUsage:  {group}\n\nRun '{group} --help' for more information"
        )
    module, _, attribute = row[1].partition(":")
    if not module:
        raise CliError(f"{NAME}: '{name}' is not built yet")
    loaded = __import__(f"wherry.cli.commands.{module}", fromlist=[attribute])
    command: Command = getattr(loaded, attribute)
    return command


def _call(app: App, command: Command, words: list[str]) -> int | None:
    try:
        parsed = parse(command.options, words, interspersed=command.interspersed, warn=app.line)
    except FlagError as error:
        raise UsageError(_flag_error(error, command.use_line(app.path), app.path), 125) from error
    except HelpWanted as wanted:
        return _command_help(command, app.path, wanted)
    command.check_arguments(app.path, len(parsed.args))
    _check_supported(app, parsed)
    return command.run(app, parsed)


def _check_supported(app: App, parsed: Parsed) -> None:
    errors = []
    for option in parsed.changed:
        if option.since and not app.client.at_least(option.since):
            errors.append(
                f'"--{option.name}" requires API version {option.since}, '
                f"but the wherry daemon API version is {app.client.version}"
            )
        elif option.os and (theirs := app.client.os_type()) and theirs != option.os:
            errors.append(
                f'"--{option.name}" is only supported on a wherry daemon running on {option.os}, '
                f"but the wherry daemon is running on {theirs}"
            )
    if errors:
        raise CliError("\n".join(errors))


def _flag_error(error: FlagError, use_line: str, path: str) -> str:
    return f"{error}\n\nUsage:  {use_line}\n\nRun '{path} --help' for more information"


def _group(words: list[str]) -> int:
    path = f"{NAME} {words[0]}"
    where = 2  # a group alone is a mistake: its help goes to stderr
    try:
        parse((), words[1:], interspersed=True)
    except FlagError as error:
        raise UsageError(_flag_error(error, path, path), 125) from error
    except HelpWanted as wanted:
        _warn_short_help(wanted)
        where = 1
    from wherry.cli import help as texts

    write(where, texts.group(words[0]).encode())
    return 0


def _root_help(wanted: HelpWanted) -> int:
    from wherry.cli import help as texts

    _warn_short_help(wanted)
    write(1, texts.root().encode())
    return 0


def _command_help(command: Command, path: str, wanted: HelpWanted) -> int:
    from wherry.cli import help as texts

    _warn_short_help(wanted)
    write(1, texts.command(command, path).encode())
    return 0


def _warn_short_help(wanted: HelpWanted) -> None:
    if wanted.deprecated:
        write(1, b"Flag shorthand -h has been deprecated, use --help\n")


def _help(words: list[str]) -> int:
    from wherry.cli import help as texts

    if not words:
        write(1, texts.root().encode())
        return 0
    depth = 2 if words[0] in tree.GROUPS else 1
    if depth == 2 and len(words) == 1 and tree.GROUPS[words[0]][1]:
        return _group([*words, "--help"])
    unknown = CliError(f"unknown help topic: {' '.join(words)}")
    if len(words) != depth:
        raise unknown
    try:
        command = _load(words)
    except UsageError:
        raise unknown from None
    write(1, texts.command(command, " ".join([NAME, *words])).encode())
    return 0
