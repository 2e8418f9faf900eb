"""``wherry run``: create, attach, wait, start, in this order, so that nothing a short container says is missed."""

from __future__ import annotations

from wherry.cli.app import is_terminal
from wherry.cli.commands.container.create import create_container, request_body, with_help
from wherry.cli.commands.container.options import CONTAINER, pull_option
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import container
from wherry.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.commands.container.live import Live
    from wherry.cli.flags import Parsed

_NOT_FOUND = ("executable file not found", "no such file or directory", "system cannot find the file specified")
_NOT_ALLOWED = ("permission denied", "is a directory")


def _failure(error: object) -> CliError:
    """An error with the exit code that docker gives it: 127 no such program, 126 not to be run, 125 anything else."""
    text = str(error)
    code = 125
    if any(words in text for words in _NOT_FOUND):
        code = 127
    elif any(words in text for words in _NOT_ALLOWED):
        code = 126
    return CliError(with_help(text, "run"), code)


def _run(app: App, options: Parsed) -> int:
    body = request_body(app, options, "run")
    if options["detach"]:
        if options["attach"]:
            raise CliError("conflicting options: cannot specify both --attach and --detach")
        for name in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"):
            body[name] = False
        return _detached(app, options, body)
    if options["tty"]:
        from wherry.cli.commands.container.live import check_tty

        check_tty(attach_stdin=body["AttachStdin"], tty=True)
    return _attached(app, options, body)


def _create(app: App, options: Parsed, body: dict[str, Any]) -> str:
    try:
        return create_container(app, options, body)
    except CliError as error:
        raise _failure(error) if error.code != 141 else error from error
    except (ValueError, ClientError) as error:
        raise _failure(error) from error


def _detached(app: App, options: Parsed, body: dict[str, Any]) -> int:
    identity = _create(app, options, body)
    app.line(identity)
    try:
        container.start(app.client, identity)
    except ClientError as error:
        raise _failure(error) from error
    return 0


def _attached(app: App, options: Parsed, body: dict[str, Any]) -> int:
    identity = _create(app, options, body)
    from wherry.cli.commands.container.live import Live

    live = Live(app, forward_to=identity if options["sig-proxy"] else "")
    try:
        return _talk(app, options, body, identity, live)
    finally:
        live.close()


def _talk(app: App, options: Parsed, body: dict[str, Any], identity: str, live: Live) -> int:
    from wherry.cli.commands.container.live import STDOUT, Waiting, configured_keys, open_connection
    from wherry.client.session import Detached

    stdin, stdout, stderr = body["AttachStdin"], body["AttachStdout"], body["AttachStderr"]
    keys = configured_keys(app, options["detach-keys"])
    connection = container.attach(app.client, identity, stdin=stdin, stdout=stdout, stderr=stderr, keys=keys)
    condition = "removed" if options["rm"] else "next-exit"
    waiting = Waiting(container.wait(open_connection(app), identity, condition))
    try:
        container.start(app.client, identity)
    except ClientError as error:
        connection[0].close()
        if options["rm"]:
            waiting.collect()
        raise _failure(error) from error
    tty = body["Tty"]

    def resize(height: int, width: int) -> None:
        container.resize(open_connection(app), identity, height, width)

    try:
        status = live.talk(
            connection,
            tty=tty,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            keys=options["detach-keys"],
            resize=resize if tty and is_terminal(STDOUT) else None,
            waiting=waiting,
        )
    except Detached:
        return 0
    return status or 0


RUN = Command(
    _run,
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    short="Create and run a new container from an image",
    options=(
        *CONTAINER,
        Option("detach", "d", "bool", "Run container in background and print container ID"),
        Option("detach-keys", "", "string", "Override the key sequence for detaching a container"),
        Option("sig-proxy", "", "bool", "Proxy received signals to the process", default=True),
        pull_option('Pull image before running ("always", "missing", "never")'),
    ),
    minimum=1,
    interspersed=False,
    aliases="container run, run",
)
