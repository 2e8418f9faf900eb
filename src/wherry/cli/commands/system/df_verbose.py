"""``wherry system df -v``: every image, container and volume with its size."""

from __future__ import annotations

import time

from wherry.cli.commands.container.rows import CONTAINERS, Summary
from wherry.cli.commands.image.rows import IMAGES, Listed, is_dangling
from wherry.cli.commands.system.df_explained import show_explained
from wherry.cli.commands.volume import VOLUMES
from wherry.cli.errors import CliError
from wherry.cli.format.rows import Kind, Row, show
from wherry.cli.format.text import short_id
from wherry.cli.format.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.app import App

_IMAGE_COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
_CONTAINER_COLUMNS = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
_BUILD_COLUMNS = ("ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared")


def _since(text: str | None) -> str:
    if not text:
        return ""
    import calendar

    try:
        moment = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return ""
    return f"{human_duration(time.time() - moment)} ago"


_BUILDS = Kind(
    "*formatter.buildCacheContext",
    {
        "ID": "CACHE ID",
        "CacheType": "CACHE TYPE",
        "Size": "SIZE",
        "CreatedSince": "CREATED",
        "LastUsedSince": "LAST USED",
        "UsageCount": "USAGE",
        "Shared": "SHARED",
    },
    {
        "ID": lambda one: short_id(one.get("ID", "")) + ("*" if one.get("InUse") else ""),
        "CacheType": lambda one: one.get("Type", ""),
        "Size": lambda one: human_size(one.get("Size", 0), 3),
        "CreatedSince": lambda one: _since(one.get("CreatedAt")),
        "LastUsedSince": lambda one: _since(one.get("LastUsedAt")),
        "UsageCount": lambda one: str(one.get("UsageCount", 0)),
        "Shared": lambda one: "true" if one.get("Shared") else "false",
    },
)


def _images(usage: dict[str, Any], *, trunc: bool) -> list[Listed]:
    from wherry.cli import reference

    rows = []
    for one in usage.get("Images") or []:
        name, tag = "<none>", "<none>"
        if one.get("RepoTags") and not is_dangling(one):
            try:
                named = reference.parse(one["RepoTags"][0])
            except ValueError:
                continue
            name, tag = (named.familiar_name, named.tag) if named.tag else (name, tag)
        rows.append(Listed(one, name, tag, "", trunc=trunc))
    return rows


def show_verbose(app: App, usage: dict[str, Any], template: str) -> int:
    """Print all of it, as tables or through the template."""
    tables = template in {"", "table"}
    containers = [Summary({**one, "SizeRootFs": 0}, trunc=tables) for one in usage.get("Containers") or []]
    builds = sorted(usage.get("BuildCache") or [], key=lambda one: (one.get("LastUsedAt") or "", one.get("ID", "")))
    images = _images(usage, trunc=tables)
    volumes = usage.get("Volumes") or []
    if not tables:
        app.out(_rendered(template, images, containers, volumes, builds))
        return 0
    size = sum(one.get("Size", 0) for one in builds if not one.get("Shared"))
    app.out("Images space usage:\n\n")
    show(app, IMAGES, images, "", _IMAGE_COLUMNS)
    app.out("\nContainers space usage:\n\n")
    show(app, CONTAINERS, containers, "", _CONTAINER_COLUMNS)
    app.out("\nLocal Volumes space usage:\n\n")
    show(app, VOLUMES, volumes, "", ("Name", "Links", "Size"))
    app.out(f"\nBuild cache usage: {human_size(size)}\n\n")
    show(app, _BUILDS, builds, "", _BUILD_COLUMNS)
    show_explained(app)
    return 0


def _rendered(
    template: str,
    images: Sequence[Any],
    containers: Sequence[Any],
    volumes: Sequence[Any],
    builds: Sequence[Any],
) -> str:
    from wherry.cli.format.template.engine import Struct, Template, TemplateError

    data = {
        "Images": [Row(IMAGES, one) for one in images],
        "Containers": [Row(CONTAINERS, one) for one in containers],
        "Volumes": [Row(VOLUMES, one) for one in volumes],
        "BuildCache": [Row(_BUILDS, one) for one in builds],
    }
    source = "{{json .}}" if template == "json" else template.replace("\\t", "\t").replace("\\n", "\n")
    try:
        return Template(source).render(Struct("*formatter.diskUsageContext", dict(data)))
    except TemplateError as error:
        raise CliError(str(error)) from error
