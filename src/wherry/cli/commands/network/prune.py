"""``wherry network prune``."""

from __future__ import annotations

from wherry.cli.common import FORCE_PRUNE
from wherry.cli.flags import Command, Option
from wherry.cli.pruning import allowed, prune, with_configured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    if not allowed(app, options, "This will remove all custom networks not used by at least one container."):
        return 0
    _, text = prune(app, "networks", with_configured(app, options["filter"]))
    if text:
        app.line(text)
    return 0


PRUNE = Command(
    _run,
    usage="[OPTIONS]",
    short="Remove all unused networks",
    options=(Option("filter", "", "filter", 'Provide filter values (e.g. "until=<timestamp>")'), FORCE_PRUNE),
    maximum=0,
)
