"""``wherry logs``: what a container has said, and what it says from now on."""

from __future__ import annotations

from wherry.cli.app import write
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import container
from wherry.client.streams import copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_SINCE = '(e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'


def _run(app: App, options: Parsed) -> int:
    found = container.describe(app.client, options.args[0])
    query = {}
    for name in ("details", "follow"):
        if options[name]:
            query[name] = "1"
    query |= _times(options, "since")
    query |= {"stderr": "1", "stdout": "1", "tail": options["tail"]}
    if options["timestamps"]:
        query["timestamps"] = "1"
    query |= _times(options, "until")
    response = container.logs(app.client, found["Id"], query)
    tty = bool(found["Config"].get("Tty"))
    copy(iter(response), tty=tty, out=lambda data: write(1, data), err=lambda data: write(2, data))
    return 0


def _times(options: Parsed, name: str) -> dict[str, str]:
    if not options[name]:
        return {}
    from wherry.cli.timestamps import timestamp

    try:
        return {name: timestamp(options[name])}
    except ValueError as error:
        raise CliError(f'invalid value for "{name}": {error}') from error


LOGS = Command(
    _run,
    usage="[OPTIONS] CONTAINER",
    short="Fetch the logs of a container",
    options=(
        Option("details", "", "bool", "Show extra details provided to logs"),
        Option("follow", "f", "bool", "Follow log output"),
        Option("since", "", "string", f"Show logs since timestamp {_SINCE}"),
        Option("tail", "n", "string", "Number of lines to show from the end of the logs", default="all"),
        Option("timestamps", "t", "bool", "Show timestamps"),
        Option("until", "", "string", f"Show logs before a timestamp {_SINCE}", since="1.35"),
    ),
    minimum=1,
    maximum=1,
    aliases="container logs, logs",
)
