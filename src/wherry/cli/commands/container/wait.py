"""``wherry wait``: block until containers stop, then print their exit codes."""

from __future__ import annotations

from wherry.cli.errors import join
from wherry.cli.flags import Command
from wherry.client import container
from wherry.client.errors import ClientError
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    errors = []
    for name in options.args:
        try:
            answer = loads(container.wait(app.client, name).read())
        except ClientError as error:
            errors.append(str(error))
            continue
        app.line(str(answer["StatusCode"]))
    join(errors)
    return 0


WAIT = Command(
    _run,
    usage="CONTAINER [CONTAINER...]",
    short="Block until one or more containers stop, then print their exit codes",
    minimum=1,
    aliases="container wait, wait",
)
