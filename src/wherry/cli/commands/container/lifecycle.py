"""The verbs that do one thing to each container named: stop, restart, kill, pause, unpause, rm; and rename."""

from __future__ import annotations

from wherry.cli.errors import CliError, join
from wherry.cli.flags import Command, Option
from wherry.client import container
from wherry.client.errors import ApiError, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed
    from wherry.client.client import Client

_PARALLEL = 50


def _each(app: App, names: list[str], act: Callable[[Client, str], None], *, missing_ok: bool = False) -> int:
    """Do it to each, in parallel if there are several; print the names done in the order given, then the errors."""
    results = _results(app, names, act)
    errors = []
    for name, error in zip(names, results, strict=True):
        if error is None:
            app.line(name)
        elif missing_ok and isinstance(error, ApiError) and error.status == 404:
            app.complain(error)
        else:
            errors.append(str(error))
    join(errors)
    return 0


def _results(app: App, names: list[str], act: Callable[[Client, str], None]) -> list[ClientError | None]:
    def once(client: Client, name: str) -> ClientError | None:
        try:
            act(client, name)
        except ClientError as error:
            return error
        return None

    if len(names) == 1:
        return [once(app.client, names[0])]
    from concurrent.futures import ThreadPoolExecutor

    from wherry.cli.commands.container.live import open_connection

    version = app.client.version  # negotiated once, before the threads
    assert version
    with ThreadPoolExecutor(min(_PARALLEL, len(names))) as pool:
        return list(pool.map(lambda name: once(open_connection(app), name), names))


def _timeout(options: Parsed) -> int | None:
    given = [option.name for option in options.changed]
    if "time" in given and "timeout" in given:
        raise CliError("conflicting options: cannot specify both --timeout and --time")
    return options["timeout"] if options.given("timeout") else None


def _stop(app: App, options: Parsed) -> int:
    timeout, signal = _timeout(options), options["signal"]
    return _each(app, options.args, lambda client, name: container.stop(client, name, signal=signal, timeout=timeout))


def _restart(app: App, options: Parsed) -> int:
    timeout, signal = _timeout(options), options["signal"]
    errors = []
    for name in options.args:
        try:
            container.stop(app.client, name, signal=signal, timeout=timeout, call="/restart")
        except ClientError as error:
            errors.append(str(error))
            continue
        app.line(name)
    join(errors)
    return 0


def _kill(app: App, options: Parsed) -> int:
    return _each(app, options.args, lambda client, name: container.kill(client, name, options["signal"]))


def _pause(app: App, options: Parsed) -> int:
    return _each(app, options.args, lambda client, name: container.act(client, name, "pause"))


def _unpause(app: App, options: Parsed) -> int:
    return _each(app, options.args, lambda client, name: container.act(client, name, "unpause"))


def _rm(app: App, options: Parsed) -> int:
    def remove(client: Client, name: str) -> None:
        name = name.strip("/")
        if not name:
            raise ClientError("container name cannot be empty")
        container.remove(client, name, volumes=options["volumes"], link=options["link"], force=options["force"])

    return _each(app, options.args, remove, missing_ok=options["force"])


def _rename(app: App, options: Parsed) -> int:
    old, new = (name.strip() for name in options.args)
    if not old or not new:
        raise CliError("Error: Neither old nor new names may be empty")
    try:
        container.rename(app.client, old, new)
    except ClientError as error:
        app.complain(error)
        raise CliError(f"Error: failed to rename container named {old}") from error
    return 0


_SIGNAL = Option("signal", "s", "string", "Signal to send to the container")
_STOPPING = (
    _SIGNAL,
    Option(
        "time",
        "",
        "int",
        "Seconds to wait before killing the container (deprecated: use --timeout)",
        note="use --timeout instead",
        target="timeout",
    ),
    Option("timeout", "t", "int", "Seconds to wait before killing the container"),
)

STOP = Command(
    _stop,
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Stop one or more running containers",
    options=_STOPPING,
    minimum=1,
    aliases="container stop, stop",
)
RESTART = Command(
    _restart,
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Restart one or more containers",
    options=_STOPPING,
    minimum=1,
    aliases="container restart, restart",
)
KILL = Command(
    _kill,
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Kill one or more running containers",
    options=(_SIGNAL,),
    minimum=1,
    aliases="container kill, kill",
)
PAUSE = Command(
    _pause,
    usage="CONTAINER [CONTAINER...]",
    short="Pause all processes within one or more containers",
    minimum=1,
    aliases="container pause, pause",
)
UNPAUSE = Command(
    _unpause,
    usage="CONTAINER [CONTAINER...]",
    short="Unpause all processes within one or more containers",
    minimum=1,
    aliases="container unpause, unpause",
)
RM = Command(
    _rm,
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Remove one or more containers",
    options=(
        Option("force", "f", "bool", "Force the removal of a running container (uses SIGKILL)"),
        Option("link", "l", "bool", "Remove the specified link"),
        Option("volumes", "v", "bool", "Remove anonymous volumes associated with the container"),
    ),
    minimum=1,
    aliases="container rm, container remove, rm",
)
RENAME = Command(
    _rename,
    usage="CONTAINER NEW_NAME",
    short="Rename a container",
    minimum=2,
    maximum=2,
    aliases="container rename, rename",
)
