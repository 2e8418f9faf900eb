"""``wherry container inspect``."""

from __future__ import annotations

from wherry.cli.common import INSPECT_FORMAT
from wherry.cli.flags import Command, Option
from wherry.cli.inspecting import inspect
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    size = options["size"]
    return inspect(app, options.args, options["format"], lambda name: container.inspect(app.client, name, size=size))


INSPECT = Command(
    _run,
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Display detailed information on one or more containers",
    options=(INSPECT_FORMAT, Option("size", "s", "bool", "Display total file sizes")),
    minimum=1,
)
