"""``wherry container prune``."""

from __future__ import annotations

from wherry.cli.common import FORCE_PRUNE
from wherry.cli.flags import Command, Option
from wherry.cli.pruning import allowed, print_reclaimed, prune, with_configured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    if not allowed(app, options, "This will remove all stopped containers."):
        return 0
    return print_reclaimed(app, *prune(app, "containers", with_configured(app, options["filter"])))


PRUNE = Command(
    _run,
    usage="[OPTIONS]",
    short="Remove all stopped containers",
    options=(Option("filter", "", "filter", 'Provide filter values (e.g. "until=<timestamp>")'), FORCE_PRUNE),
    maximum=0,
)
