"""``wherry network rm``."""

from __future__ import annotations

from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import network
from wherry.client.errors import ApiError, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    failed = False
    for name in options.args:
        try:
            network.remove(app.client, name)
        except ClientError as error:
            if options["force"] and isinstance(error, ApiError) and error.status == 404:
                continue
            app.complain(error)
            failed = True
            continue
        app.line(name)
    if failed:
        raise CliError("exit status 1")
    return 0


RM = Command(
    _run,
    usage="NETWORK [NETWORK...]",
    short="Remove one or more networks",
    options=(Option("force", "f", "bool", "Do not error if the network does not exist"),),
    minimum=1,
    aliases="network rm, network remove",
)
