"""``wherry export``: all files of a container as one tar."""

from __future__ import annotations

from wherry.cli.app import is_terminal, write
from wherry.cli.commands.image.archive import write_whole
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.output_path import check_output
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

STDOUT = 1


def _run(app: App, options: Parsed) -> int:
    path = options["output"]
    if not path:
        if is_terminal(STDOUT):
            raise CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        for piece in container.export(app.client, options.args[0]):
            write(STDOUT, piece)
        return 0
    check_output(path, "failed to export container")
    write_whole(path, iter(container.export(app.client, options.args[0])))
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
