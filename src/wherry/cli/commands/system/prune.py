"""``wherry system prune``: containers, networks, images, build cache, and volumes if asked."""

from __future__ import annotations

from wherry.cli.commands.image.prune import image_filters
from wherry.cli.common import FORCE_PRUNE
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.format.text import natural_key
from wherry.cli.pruning import allowed, print_reclaimed, prune, with_configured
from wherry.client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed
    from wherry.cli.pruning import Filters

_NOT_BUILT = 501


def _run(app: App, options: Parsed) -> int:
    given, every, volumes = options["filter"], options["all"], options["volumes"]
    if volumes and "until" in given:
        raise CliError('ERROR: The "until" filter is not supported with "--volumes"')
    filters = with_configured(app, given)
    if not allowed(app, options, _warning(filters, every=every, volumes=volumes)):
        return 0
    space = 0
    for nouns, wanted in _plan(filters, every=every, volumes=volumes):
        try:
            freed, text = prune(app, nouns, wanted)
        except ApiError as error:
            if nouns == "build" and error.status == _NOT_BUILT:
                continue  # a daemon that does not build has no cache of builds
            raise
        space += freed
        if text:
            app.line(text)
    return print_reclaimed(app, space, "")


def _plan(filters: Filters, *, every: bool, volumes: bool) -> list[tuple[str, Filters]]:
    plan = [("containers", filters), ("networks", filters)]
    if volumes:
        plan.append(("volumes", filters))
    plan.append(("images", image_filters(filters, every=every)))
    plan.append(("build", {**filters, **({"all": {"true": True}} if every else {})}))
    return plan


def _warning(filters: Filters, *, every: bool, volumes: bool) -> str:
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if volumes:
        lines.append("all anonymous volumes not used by at least one container")
    lines.append("all images without at least one container associated to them" if every else "all dangling images")
    lines.append("all build cache" if every else "unused build cache")
    text = "This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
    shown = [f"{name}={value}" for name in ("label", "label!", "until") for value in filters.get(name, {})]
    if shown:
        listed = "".join(f"  - {one}\n" for one in sorted(shown, key=natural_key))
        text += f"\n  Items to be pruned will be filtered with:\n{listed}"
    return text


PRUNE = Command(
    _run,
    usage="[OPTIONS]",
    short="Remove unused data",
    options=(
        Option("all", "a", "bool", "Remove all unused images not just dangling ones"),
        Option("filter", "", "filter", 'Provide filter values (e.g. "label=<key>=<value>")'),
        FORCE_PRUNE,
        Option("volumes", "", "bool", "Prune anonymous volumes"),
    ),
    maximum=0,
)
