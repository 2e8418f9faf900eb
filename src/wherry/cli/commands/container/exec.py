"""``wherry exec``: run a command in a running container."""

from __future__ import annotations

from wherry.cli.app import is_terminal
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.pairs import read_pairs
from wherry.cli.terminal import size
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    try:
        env = read_pairs(options["env-file"], options["env"], environment=True)
    except ValueError as error:
        raise CliError(str(error)) from error
    name, command = options.args[0], options.args[1:]
    detach, tty, stdin = options["detach"], options["tty"], options["interactive"] and not options["detach"]
    container.inspect(app.client, name)  # says "no such container" before anything about terminals
    body: dict[str, Any] = {
        "User": options["user"],
        "Privileged": options["privileged"],
        "Tty": tty,
        "AttachStdin": stdin,
        "AttachStderr": not detach,
        "AttachStdout": not detach,
        "Detach": detach,
        "DetachKeys": options["detach-keys"] or app.config.text("detachKeys"),
        "Env": env or None,
        "WorkingDir": options["workdir"],
        "Cmd": command,
    }
    start: dict[str, Any] = {"Detach": detach, "Tty": tty}
    if tty:
        body["ConsoleSize"] = start["ConsoleSize"] = list(size(1))
    if not detach and tty:
        from wherry.cli.commands.container.live import check_tty

        check_tty(attach_stdin=stdin, tty=tty)
    identity = container.exec_create(app.client, name, body)
    if not identity:
        raise CliError("exec ID empty")
    if detach:
        container.exec_start(app.client, identity, start)
        return 0
    return _attached(app, identity, start, stdin=stdin, keys=options["detach-keys"])


def _attached(app: App, identity: str, start: dict[str, Any], *, stdin: bool, keys: str) -> int:
    from wherry.cli.commands.container.live import STDIN, Live, open_connection

    tty = start["Tty"]

    def resize(height: int, width: int) -> None:
        container.exec_resize(open_connection(app), identity, height, width)

    live = Live(app)
    try:
        connection = container.exec_attach(app.client, identity, start)
        live.talk(connection, tty=tty, stdin=stdin, keys=keys, resize=resize if tty and is_terminal(STDIN) else None)
    finally:
        live.close()
    return int(container.exec_inspect(app.client, identity).get("ExitCode") or 0)


EXEC = Command(
    _run,
    usage="[OPTIONS] CONTAINER COMMAND [ARG...]",
    short="Execute a command in a running container",
    options=(
        Option("detach", "d", "bool", "Detached mode: run command in the background"),
        Option("detach-keys", "", "string", "Override the key sequence for detaching a container"),
        Option("env", "e", "list", "Set environment variables", check="env"),
        Option("env-file", "", "list", "Read in a file of environment variables"),
        Option("interactive", "i", "bool", "Keep STDIN open even if not attached"),
        Option("privileged", "", "bool", "Give extended privileges to the command"),
        Option("tty", "t", "bool", "Allocate a pseudo-TTY"),
        Option("user", "u", "string", 'Username or UID (format: "<name|uid>[:<group|gid>]")'),
        Option("workdir", "w", "string", "Working directory inside the container", since="1.35"),
    ),
    minimum=2,
    interspersed=False,
    aliases="container exec, exec",
)
