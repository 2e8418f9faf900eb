"""``wherry network inspect``."""

from __future__ import annotations

from wherry.cli.common import INSPECT_FORMAT
from wherry.cli.flags import Command, Option
from wherry.cli.inspecting import inspect
from wherry.client import network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    verbose = options["verbose"]
    return inspect(
        app, options.args, options["format"], lambda name: network.inspect(app.client, name, verbose=verbose)
    )


INSPECT = Command(
    _run,
    usage="[OPTIONS] NETWORK [NETWORK...]",
    short="Display detailed information on one or more networks",
    options=(INSPECT_FORMAT, Option("verbose", "v", "bool", "Verbose output for diagnostics")),
    minimum=1,
)
