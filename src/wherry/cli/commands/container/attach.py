"""``wherry attach``: join a running container's streams, and end with its exit code."""

from __future__ import annotations

from wherry.cli.app import is_terminal
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _inspected(app: App, name: str) -> dict[str, Any]:
    found: dict[str, Any] = container.describe(app.client, name)
    state = found["State"]
    if not state.get("Running"):
        raise CliError("You cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise CliError("You cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise CliError("You cannot attach to a restarting container, wait until it is running")
    return found


def _run(app: App, options: Parsed) -> int:
    from wherry.cli.commands.container.live import STDOUT, Live, Waiting, check_tty, configured_keys, open_connection

    name = options.args[0]
    config = _inspected(app, name)["Config"]
    waiting = Waiting(container.wait(open_connection(app), name))
    tty = bool(config.get("Tty"))
    check_tty(attach_stdin=not options["no-stdin"], tty=tty)
    stdin = not options["no-stdin"] and bool(config.get("OpenStdin"))
    keys = options["detach-keys"]

    def resize(height: int, width: int) -> None:
        container.resize(open_connection(app), name, height, width)

    live = Live(app, forward_to=name if options["sig-proxy"] and not tty else "")
    try:
        connection = container.attach(
            app.client, name, stdin=stdin, stdout=True, stderr=True, keys=configured_keys(app, keys)
        )
        _inspected(app, name)  # it may have stopped meanwhile, and would never hang up on us
        resizes = tty and is_terminal(STDOUT)
        if resizes:
            _provoke_prompt(resize)
        status = live.talk(
            connection, tty=tty, stdin=stdin, keys=keys, resize=resize if resizes else None, waiting=waiting
        )
    finally:
        live.close()
    return status or 0


def _provoke_prompt(resize: Any) -> None:
    """A shell draws its prompt again only if the size changes: make it one larger first."""
    from wherry.cli.terminal import size
    from wherry.client.errors import ClientError

    height, width = size(1)
    try:
        resize(height + 1, width + 1)
    except ClientError:
        return


ATTACH = Command(
    _run,
    usage="[OPTIONS] CONTAINER",
    short="Attach local standard input, output, and error streams to a running container",
    options=(
        Option("detach-keys", "", "string", "Override the key sequence for detaching a container"),
        Option("no-stdin", "", "bool", "Do not attach STDIN"),
        Option("sig-proxy", "", "bool", "Proxy all received signals to the process", default=True),
    ),
    minimum=1,
    maximum=1,
    aliases="container attach, attach",
)
