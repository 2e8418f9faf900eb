"""``wherry system df``: what takes how much room."""

from __future__ import annotations

from wherry.cli.common import FORMAT
from wherry.cli.flags import Command, Option
from wherry.cli.format.rows import Kind, show
from wherry.cli.format.units import human_size
from wherry.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_RAW = """type: {{.Type}}
total: {{.TotalCount}}
active: {{.Active}}
size: {{.Size}}
reclaimable: {{.Reclaimable}}
"""
_LIVE = {"running", "paused", "restarting"}
_FIELDS = ("Type", "TotalCount", "Active", "Size", "Reclaimable")
_USAGE = Kind(
    "*formatter.diskUsageContext",
    {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"},
    {
        "Type": lambda row: row["Type"],
        "TotalCount": lambda row: row["TotalCount"],
        "Active": lambda row: row["Active"],
        "Size": lambda row: row["Size"],
        "Reclaimable": lambda row: row["Reclaimable"],
    },
)


def _row(kind: str, total: int, active: int, size: int, reclaimable: int, *, share: bool = True) -> dict[str, str]:
    free = human_size(reclaimable)
    if share and size > 0:
        free += f" ({int(reclaimable * 100 / size)}%)"
    return dict(zip(_FIELDS, (kind, str(total), str(active), human_size(size), free), strict=True))


def _images(usage: dict[str, Any]) -> dict[str, str]:
    images = usage.get("Images") or []
    whole = usage.get("LayersSize") or 0
    used = sum(
        one["Size"] - one["SharedSize"]
        for one in images
        if one.get("Containers") and -1 not in {one.get("Size", -1), one.get("SharedSize", -1)}
    )
    active = sum((one.get("Containers") or 0) > 0 for one in images)
    return _row("Images", len(images), active, whole, whole - used)


def _containers(usage: dict[str, Any]) -> dict[str, str]:
    found = usage.get("Containers") or []
    live = [one for one in found if one.get("State") in _LIVE]
    size = sum(one.get("SizeRw") or 0 for one in found)
    idle = size - sum(one.get("SizeRw") or 0 for one in live)
    return _row("Containers", len(found), len(live), size, idle)


def _volumes(usage: dict[str, Any]) -> dict[str, str]:
    found = [one.get("UsageData") or {} for one in usage.get("Volumes") or []]
    sized = [one for one in found if one.get("Size", -1) != -1]
    active = sum((one.get("RefCount") or 0) > 0 for one in found)
    idle = sum(one["Size"] for one in sized if not one.get("RefCount"))
    return _row("Local Volumes", len(found), active, sum(one["Size"] for one in sized), idle)


def _builds(usage: dict[str, Any]) -> dict[str, str]:
    found = usage.get("BuildCache") or []
    size = sum(one.get("Size", 0) for one in found if not one.get("Shared"))
    busy = sum(one.get("Size", 0) for one in found if one.get("InUse") and not one.get("Shared"))
    active = sum(bool(one.get("InUse")) for one in found)
    return _row("Build Cache", len(found), active, size, size - busy, share=False)


def _run(app: App, options: Parsed) -> int:
    usage = system.disk_usage(app.client)
    template = options["format"]
    if options["verbose"]:
        from wherry.cli.commands.system.df_verbose import show_verbose

        return show_verbose(app, usage, template)
    rows = [_images(usage), _containers(usage), _volumes(usage), _builds(usage)]
    show(app, _USAGE, rows, _RAW if template == "raw" else template, _FIELDS)
    return 0


DF = Command(
    _run,
    usage="[OPTIONS]",
    short="Show wherry disk usage",
    options=(FORMAT, Option("verbose", "v", "bool", "Show detailed information on space usage")),
    maximum=0,
)
