"""``wherry image prune``."""

from __future__ import annotations

from wherry.cli.common import FORCE_PRUNE
from wherry.cli.flags import Command, Option
from wherry.cli.pruning import allowed, print_reclaimed, prune, with_configured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed
    from wherry.cli.pruning import Filters


def image_filters(filters: Filters, *, every: bool) -> Filters:
    """Only dangling ones, unless every unused one is meant."""
    return {**filters, "dangling": {**filters.get("dangling", {}), "false" if every else "true": True}}


def _run(app: App, options: Parsed) -> int:
    warning = "This will remove all dangling images."
    if options["all"]:
        warning = "This will remove all images without at least one container associated to them."
    if not allowed(app, options, warning):
        return 0
    filters = with_configured(app, image_filters(options["filter"], every=options["all"]))
    return print_reclaimed(app, *prune(app, "images", filters))


PRUNE = Command(
    _run,
    usage="[OPTIONS]",
    short="Remove unused images",
    options=(
        Option("all", "a", "bool", "Remove all unused images, not just dangling ones"),
        Option("filter", "", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
        FORCE_PRUNE,
    ),
    maximum=0,
)
