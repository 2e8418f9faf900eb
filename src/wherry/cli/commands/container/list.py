"""``wherry ps``: list containers."""

from __future__ import annotations

from wherry.cli.commands.container.rows import COLUMNS, CONTAINERS, Summary
from wherry.cli.common import FILTER, FORMAT, filters_query
from wherry.cli.flags import Command, Option
from wherry.cli.format.rows import show
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_RAW = """container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
"""


def _run(app: App, options: Parsed) -> int:
    template, quiet, size = options["format"], options["quiet"], options["size"]
    if not template:
        template = app.config.text("psFormat")
    elif quiet:
        app.complain("WARNING: Ignoring custom format, because both --format and --quiet are set.")
    if template:
        size = _needs_size(template, options)
    last = 1 if options["latest"] and options["last"] == -1 else options["last"]
    query = {}
    if options["all"]:
        query["all"] = "1"
    query |= filters_query(options["filter"])
    if last > 0:
        query["limit"] = str(last)
    if size:
        query["size"] = "1"
    found = container.listing(app.client, query)
    rows = [Summary(one, trunc=not options["no-trunc"]) for one in found]
    columns = ("ID",) if quiet else (*COLUMNS, "Size") if size else COLUMNS
    show(app, CONTAINERS, rows, _template(template, quiet=quiet, size=size), columns)
    return 0


def _needs_size(template: str, options: Parsed) -> bool:
    """Sizes are costly: ask for them only if the template shows them. Also refuses a bad template before any call."""
    from wherry.cli.format.listing import fields_used

    used = fields_used(CONTAINERS, template, Summary({}, trunc=True))
    if options["size"] or options["quiet"] or options.given("size"):
        return bool(options["size"])
    return "Size" in used


def _template(template: str, *, quiet: bool, size: bool) -> str:
    if template == "raw":
        if quiet:
            return "container_id: {{.ID}}"
        return _RAW + ("size: {{.Size}}\n" if size else "")
    return "" if quiet else template


PS = Command(
    _run,
    usage="[OPTIONS]",
    short="List containers",
    options=(
        Option("all", "a", "bool", "Show all containers (default shows just running)"),
        FILTER,
        FORMAT,
        Option("last", "n", "int", "Show n last created containers (includes all states)", default=-1),
        Option("latest", "l", "bool", "Show the latest created container (includes all states)"),
        Option("no-trunc", "", "bool", "Don't truncate output"),
        Option("quiet", "q", "bool", "Only display container IDs"),
        Option("size", "s", "bool", "Display total file sizes"),
    ),
    maximum=0,
    aliases="container ls, container list, container ps, ps",
)
