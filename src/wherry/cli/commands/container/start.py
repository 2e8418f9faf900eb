"""``wherry start``: start stopped containers, or one of them attached."""

from __future__ import annotations

from wherry.cli.app import is_terminal
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import container
from wherry.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    if options["attach"] or options["interactive"]:
        if len(options.args) > 1:
            raise CliError("you cannot start and attach multiple containers at once")
        return _attached(app, options, options.args[0])
    if options["checkpoint"]:
        if len(options.args) > 1:
            raise CliError("you cannot restore multiple containers at once")
        container.start(
            app.client, options.args[0], checkpoint=options["checkpoint"], checkpoint_dir=options["checkpoint-dir"]
        )
        return 0
    failed = []
    for name in options.args:
        try:
            container.start(app.client, name)
        except ClientError as error:
            app.complain(error)
            failed.append(name)
            continue
        app.line(name)
    if failed:
        raise CliError(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _attached(app: App, options: Parsed, name: str) -> int:
    from wherry.cli.commands.container.live import STDOUT, Live, Waiting, configured_keys, open_connection
    from wherry.client.session import Detached

    found = container.describe(app.client, name)
    identity, config = found["Id"], found["Config"]
    tty = bool(config.get("Tty"))
    stdin = options["interactive"] and bool(config.get("OpenStdin"))
    keys = options["detach-keys"]

    def resize(height: int, width: int) -> None:
        container.resize(open_connection(app), identity, height, width)

    live = Live(app, forward_to="" if tty else identity)
    try:
        connection = container.attach(
            app.client, identity, stdin=stdin, stdout=True, stderr=True, keys=configured_keys(app, keys)
        )
        removes = bool(found.get("HostConfig", {}).get("AutoRemove"))
        waiting = Waiting(container.wait(open_connection(app), identity, "removed" if removes else "next-exit"))
        try:
            container.start(app.client, identity)
        except ClientError:
            connection[0].close()
            if removes:
                waiting.collect()
            raise
        status = live.talk(
            connection,
            tty=tty,
            stdin=stdin,
            keys=keys,
            resize=resize if tty and is_terminal(STDOUT) else None,
            waiting=waiting,
        )
    except Detached:
        return 0
    finally:
        live.close()
    return status or 0


START = Command(
    _run,
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Start one or more stopped containers",
    options=(
        Option("attach", "a", "bool", "Attach STDOUT/STDERR and forward signals"),
        Option("checkpoint", "", "string", "Restore from this checkpoint", hidden=True),
        Option("checkpoint-dir", "", "string", "Use a custom checkpoint storage directory", hidden=True),
        Option("detach-keys", "", "string", "Override the key sequence for detaching a container"),
        Option("interactive", "i", "bool", "Attach container's STDIN"),
    ),
    minimum=1,
    aliases="container start, start",
)
