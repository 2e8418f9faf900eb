"""``wherry export``: all files of a container as one tar."""

from __future__ import annotations

from wherry.cli.flags import Command, Option
from wherry.cli.output_path import write_archive
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    name = options.args[0]
    write_archive(options["output"], "failed to export container", lambda: container.export(app.client, name))
    return 0


EXPORT = Command(
    _run,
    usage="[OPTIONS] CONTAINER",
    short="Export a container's filesystem as a tar archive",
    options=(Option("output", "o", "string", "Write to a file, instead of STDOUT"),),
    minimum=1,
    maximum=1,
    aliases="container export, export",
)
