"""``wherry volume``: ls, create, inspect, rm, prune."""

from __future__ import annotations

from wherry.cli.common import FORCE_PRUNE, FORMAT, INSPECT_FORMAT, filters_query
from wherry.cli.errors import CliError, join
from wherry.cli.flags import Command, Option
from wherry.cli.format.rows import Kind, show
from wherry.cli.format.text import natural_key
from wherry.cli.format.units import human_size
from wherry.cli.inspecting import inspect
from wherry.cli.pairs import pairs
from wherry.cli.pruning import allowed, print_reclaimed, prune, with_configured
from wherry.client import volume
from wherry.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _usage(value: dict[str, Any], name: str) -> int | None:
    usage = value.get("UsageData")
    return None if usage is None else int(usage.get(name, 0))


def _links(value: dict[str, Any]) -> str:
    count = _usage(value, "RefCount")
    return "N/A" if count is None else str(count)


def _size(value: dict[str, Any]) -> str:
    size = _usage(value, "Size")
    return "N/A" if size is None else human_size(size)


def _label(value: dict[str, Any], name: str) -> str:
    found: str = (value.get("Labels") or {}).get(name, "")
    return found


VOLUMES = Kind(
    "*formatter.volumeContext",
    {
        "ID": "ID",
        "Name": "VOLUME NAME",
        "Group": "GROUP",
        "Driver": "DRIVER",
        "Scope": "SCOPE",
        "Availability": "AVAILABILITY",
        "Mountpoint": "MOUNTPOINT",
        "Labels": "LABELS",
        "Links": "LINKS",
        "Size": "SIZE",
        "Status": "STATUS",
    },
    {
        "Name": lambda value: value.get("Name", ""),
        "Group": lambda _: "N/A",
        "Driver": lambda value: value.get("Driver", ""),
        "Scope": lambda value: value.get("Scope", ""),
        "Availability": lambda _: "N/A",
        "Mountpoint": lambda value: value.get("Mountpoint", ""),
        "Labels": lambda value: ",".join(f"{name}={text}" for name, text in (value.get("Labels") or {}).items()),
        "Links": _links,
        "Size": _size,
        "Status": lambda _: "N/A",
    },
    {"Label": _label},
)


def _ls(app: App, options: Parsed) -> int:
    found = volume.listing(app.client, filters_query(options["filter"]))
    found.sort(key=lambda one: natural_key(one.get("Name", "")))
    quiet = options["quiet"]
    template = options["format"] or ("" if quiet else app.config.text("volumesFormat"))
    if template == "raw":
        template = "name: {{.Name}}" if quiet else "name: {{.Name}}\\ndriver: {{.Driver}}\\n"
    show(app, VOLUMES, found, template, ("Name",) if quiet else ("Driver", "Name"))
    return 0


def _create(app: App, options: Parsed) -> int:
    name = options["name"]
    if options.args:
        if name:
            raise CliError(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg"
            )
        name = options.args[0]
    body: dict[str, Any] = {
        "Driver": options["driver"],
        "DriverOpts": options["opt"],
        "Labels": pairs(options["label"]),
        "Name": name,
    }
    app.line(volume.create(app.client, {key: value for key, value in body.items() if value != "" or key != "Name"}))
    return 0


def _inspect(app: App, options: Parsed) -> int:
    from wherry.client.jsonio import dumps

    def fetch(name: str) -> bytes:
        found = volume.inspect(app.client, name)
        return dumps({key: found[key] for key in sorted(found)}).encode("utf-8", "surrogateescape")

    return inspect(app, options.args, options["format"], fetch)


def _rm(app: App, options: Parsed) -> int:
    errors = []
    for name in options.args:
        try:
            volume.remove(app.client, name, force=options["force"])
        except ClientError as error:
            errors.append(str(error))
            continue
        app.line(name)
    join(errors)
    return 0


def _prune(app: App, options: Parsed) -> int:
    filters = with_configured(app, options["filter"])
    what = "anonymous local volumes"
    if not app.client.at_least("1.42"):
        what = "all local volumes"
    elif options["all"]:
        if "all" in filters:
            raise CliError("conflicting options: cannot specify both --all and --filter all=1")
        filters["all"] = {"true": True}
        what = "all local volumes"
    if not allowed(app, options, f"This will remove {what} not used by at least one container."):
        return 0
    return print_reclaimed(app, *prune(app, "volumes", filters))


LS = Command(
    _ls,
    usage="[OPTIONS]",
    short="List volumes",
    options=(
        Option("filter", "f", "filter", 'Provide filter values (e.g. "dangling=true")'),
        FORMAT,
        Option("quiet", "q", "bool", "Only display volume names"),
    ),
    maximum=0,
    aliases="volume ls, volume list",
)
CREATE = Command(
    _create,
    usage="[OPTIONS] [VOLUME]",
    short="Create a volume",
    options=(
        Option("driver", "d", "string", "Specify volume driver name", default="local"),
        Option("label", "", "list", "Set metadata for a volume", check="label"),
        Option("name", "", "string", "Specify volume name", hidden=True),
        Option("opt", "o", "map", "Set driver specific options"),
    ),
    maximum=1,
)
INSPECT = Command(
    _inspect,
    usage="[OPTIONS] VOLUME [VOLUME...]",
    short="Display detailed information on one or more volumes",
    options=(INSPECT_FORMAT,),
    minimum=1,
)
RM = Command(
    _rm,
    usage="[OPTIONS] VOLUME [VOLUME...]",
    short="Remove one or more volumes",
    long="Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    options=(Option("force", "f", "bool", "Force the removal of one or more volumes"),),
    minimum=1,
    aliases="volume rm, volume remove",
)
PRUNE = Command(
    _prune,
    usage="[OPTIONS]",
    short="Remove unused local volumes",
    options=(
        Option("all", "a", "bool", "Remove all unused volumes, not just anonymous ones", since="1.42"),
        Option("filter", "", "filter", 'Provide filter values (e.g. "label=<label>")'),
        FORCE_PRUNE,
    ),
    maximum=0,
)
