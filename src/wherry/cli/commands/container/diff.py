"""``wherry diff``: what a container changed of its image's files."""

from __future__ import annotations

from wherry.cli.flags import Command
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_KINDS = "CAD"


def _run(app: App, options: Parsed) -> int:
    for change in container.changes(app.client, options.args[0]):
        app.line(f"{_KINDS[change['Kind']]} {change['Path']}")
    return 0


DIFF = Command(
    _run,
    usage="CONTAINER",
    short="Inspect changes to files or directories on a container's filesystem",
    minimum=1,
    maximum=1,
    aliases="container diff, diff",
)
