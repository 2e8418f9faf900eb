"""The command line of ``wherry-oci`` as a whole: settings, help, and one module for each verb.

A verb's module is imported when it is asked for.
"""

from __future__ import annotations

import os

from wherry.runtime.oci import arguments, output
from wherry.runtime.oci.arguments import HELP, Call, Command, Flag
from wherry.runtime.oci.errors import Failure, UsageError, strerror
from wherry.runtime.oci.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = (
    *("checkpoint", "create", "delete", "events", "exec", "kill", "list", "pause", "ps", "restore", "resume", "run"),
    *("spec", "start", "state", "update", "features"),
)
_NO_SUCH_TOPIC = 3


def run(given: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    _open_standard_descriptors()
    report = Report()
    try:
        flags = _flags()
        settings, rest = arguments.parse_settings(flags, given)
        if settings.flag("version"):
            return _help("version")
        if settings.flag("help") or not rest or rest[0] in ("help", "h"):
            return _show_help(flags, rest[1:] if rest and not settings.flag("help") else [])
        report = Report(settings.text("log"), settings.text("log-format"), debug=settings.flag("debug"))
        return _run(rest[0], settings, rest[1:], report)
    except UsageError as error:
        _explain(error, given)
        report.fatal(str(error))
        return error.code
    except Failure as error:
        report.fatal(str(error))
        return error.code
    except OSError as error:
        report.fatal(f"{error.filename}: {strerror(error)}" if error.filename else str(error))
        return 1


def load(verb: str) -> Command:
    """The command of a verb."""
    module = __import__(f"wherry.runtime.oci.{verb}", fromlist=["COMMAND"])
    command: Command = module.COMMAND
    return command


def _run(verb: str, settings: arguments.Options, words: Sequence[str], report: Report) -> int:
    if verb not in VERBS:
        raise Failure(f"No help topic for '{verb}'\n", _NO_SUCH_TOPIC)
    command = load(verb)
    options, rest = arguments.parse(command, words)
    if options.flag("help"):
        return _help("command", command)
    return command.action(Call(settings, options, rest, report))


def _flags() -> tuple[Flag, ...]:
    """The settings in front of the command."""
    return (
        Flag("debug", "enable debug logging", "bool"),
        Flag("log", "set the log file to write wherry-oci logs to (default is '/dev/stderr')"),
        Flag("log-format", "set the log format ('text' (default), or 'json')", default="text"),
        Flag(
            "root",
            "root directory for storage of container state (this should be located in tmpfs)",
            default=_default_root(),
        ),
        Flag("criu", "path to the criu binary used for checkpoint and restore", default="criu"),
        Flag(
            "systemd-cgroup",
            "enable systemd cgroup support, expects cgroupsPath to be of form "
            '"slice:prefix:name" for e.g. "system.slice:wherry:434234"',
            "bool",
        ),
        Flag("rootless", "ignore cgroup permission errors ('true', 'false', or 'auto')", default="auto"),
        HELP,
        Flag("version, v", "print the version", "bool"),
    )


def _default_root() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"{runtime}/wherry-oci" if runtime and os.geteuid() != 0 else "/run/wherry-oci"


def _show_help(flags: Sequence[Flag], topics: Sequence[str]) -> int:
    if not topics:
        return _help("application", flags, [load(verb) for verb in VERBS])
    if topics[0] not in VERBS:
        raise Failure(f"No help topic for '{topics[0]}'\n", _NO_SUCH_TOPIC)
    return _help("command", load(topics[0]))


def _explain(error: UsageError, given: Sequence[str]) -> None:
    """The help that belongs to the command line, on stdout."""
    flags = _flags()
    output.out(f"{error.shown}\n\n")
    try:
        _, rest = arguments.parse_settings(flags, given)
    except UsageError:
        rest = []
    _show_help(flags, rest[:1])


def _help(kind: str, *about: object) -> int:
    from wherry.runtime.oci import help as texts  # noqa: PLC0415  only for who asks

    output.out(getattr(texts, kind)(*about))
    return 0


def _open_standard_descriptors() -> None:
    """A pipe must not become descriptor 0, 1 or 2 because the caller has closed it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", os.O_RDWR)
