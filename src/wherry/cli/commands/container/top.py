"""``wherry top``: a container's processes."""

from __future__ import annotations

from wherry.cli.flags import Command
from wherry.cli.format.table import table
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    found = container.top(app.client, options.args[0], options.args[1:])
    app.out(table([found["Titles"], *(found["Processes"] or [])], minimum=20))
    return 0


TOP = Command(
    _run,
    usage="CONTAINER [ps OPTIONS]",
    short="Display the running processes of a container",
    minimum=1,
    interspersed=False,
    aliases="container top, top",
)
