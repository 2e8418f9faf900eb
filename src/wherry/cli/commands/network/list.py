"""``wherry network ls``."""

from __future__ import annotations

from wherry.cli.common import FORMAT, filters_query
from wherry.cli.flags import Command, Option
from wherry.cli.format.rows import Kind, show
from wherry.cli.format.text import natural_key, short_id
from wherry.client import network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


class _Listed:
    __slots__ = ("trunc", "value")

    def __init__(self, value: dict[str, Any], *, trunc: bool) -> None:
        self.value = value
        self.trunc = trunc


def _flag(row: _Listed, name: str) -> str:
    return "true" if row.value.get(name) else "false"


def _created(row: _Listed) -> str:
    from wherry.cli.format.gotime import shown

    return shown(row.value.get("Created", ""))


def _label(row: _Listed, name: str) -> str:
    value: str = (row.value.get("Labels") or {}).get(name, "")
    return value


_NETWORKS = Kind(
    "*network.networkContext",
    {
        "ID": "NETWORK ID",
        "Name": "NAME",
        "Driver": "DRIVER",
        "Scope": "SCOPE",
        "IPv4": "IPV4",
        "IPv6": "IPV6",
        "Internal": "INTERNAL",
        "Labels": "LABELS",
        "CreatedAt": "CREATED AT",
    },
    {
        "ID": lambda row: short_id(row.value.get("Id", "")) if row.trunc else row.value.get("Id", ""),
        "Name": lambda row: row.value.get("Name", ""),
        "Driver": lambda row: row.value.get("Driver", ""),
        "Scope": lambda row: row.value.get("Scope", ""),
        "IPv4": lambda row: _flag(row, "EnableIPv4"),
        "IPv6": lambda row: _flag(row, "EnableIPv6"),
        "Internal": lambda row: _flag(row, "Internal"),
        "Labels": lambda row: ",".join(f"{name}={value}" for name, value in (row.value.get("Labels") or {}).items()),
        "CreatedAt": _created,
    },
    {"Label": _label},
)
_RAW = "network_id: {{.ID}}\\nname: {{.Name}}\\ndriver: {{.Driver}}\\nscope: {{.Scope}}\\n"


def _run(app: App, options: Parsed) -> int:
    found = network.listing(app.client, filters_query(options["filter"]))
    found.sort(key=lambda one: natural_key(one.get("Name", "")))
    quiet = options["quiet"]
    template = options["format"] or ("" if quiet else app.config.text("networksFormat"))
    if template == "raw":
        template = "network_id: {{.ID}}" if quiet else _RAW
    columns = ("ID",) if quiet else ("ID", "Name", "Driver", "Scope")
    show(app, _NETWORKS, [_Listed(one, trunc=not options["no-trunc"]) for one in found], template, columns)
    return 0


LS = Command(
    _run,
    usage="[OPTIONS]",
    short="List networks",
    options=(
        Option("filter", "f", "filter", 'Provide filter values (e.g. "driver=bridge")'),
        FORMAT,
        Option("no-trunc", "", "bool", "Do not truncate the output"),
        Option("quiet", "q", "bool", "Only display network IDs"),
    ),
    maximum=0,
    aliases="network ls, network list",
)
