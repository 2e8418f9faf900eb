"""``wherry search``: repositories of a registry that has a search."""

from __future__ import annotations

from wherry.cli.common import filters_query
from wherry.cli.credentials import credentials
from wherry.cli.flags import Command, Option
from wherry.cli.format.rows import Kind, show
from wherry.cli.format.text import ellipsis
from wherry.client import registry
from wherry.client.registry_auth import HUB_DOMAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_AUTOMATED = (
    'WARNING: the "is-automated" filter is deprecated, and searching for "is-automated=true" will not yield any '
    "results in future."
)
_DESCRIPTION = 45


class _Found:
    __slots__ = ("trunc", "value")

    def __init__(self, value: dict[str, Any], *, trunc: bool) -> None:
        self.value = value
        self.trunc = trunc


def _description(row: _Found) -> str:
    text = str(row.value.get("description", "")).replace("\n", " ").replace("\r", "")
    return ellipsis(text, _DESCRIPTION) if row.trunc else text


def _kind(official: tuple[str, str]) -> Kind:
    """What a row is; ``official`` is how it says no and yes."""
    return Kind(
        "*registry.searchContext",
        {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"},
        {
            "Name": lambda row: row.value.get("name", ""),
            "Description": _description,
            "StarCount": lambda row: str(row.value.get("star_count", 0)),
            "IsOfficial": lambda row: official[bool(row.value.get("is_official"))],
        },
    )


_COLUMNS = ("Name", "Description", "StarCount", "IsOfficial")


def _run(app: App, options: Parsed) -> int:
    if "is-automated" in options["filter"]:
        app.complain(_AUTOMATED)
    term = options.args[0]
    query = {"term": term}
    if options["limit"] > 0:
        query["limit"] = str(options["limit"])
    query |= filters_query(options["filter"])
    found = registry.search(app.client, dict(sorted(query.items())), credentials(app, _domain(term)))
    rows = [_Found(one, trunc=not options["no-trunc"]) for one in found]
    template = options["format"]
    show(app, _kind(("false", "true") if template == "json" else ("", "[OK]")), rows, template, _COLUMNS)
    return 0


def _domain(term: str) -> str:
    """The registry that a term begins with."""
    first, slash, _ = term.partition("/")
    if slash and (any(mark in first for mark in ".:") or first == "localhost") and "://" not in term:
        return first
    return HUB_DOMAIN


SEARCH = Command(
    _run,
    usage="[OPTIONS] TERM",
    short="Search Docker Hub for images",
    options=(
        Option("filter", "f", "filter", "Filter output based on conditions provided"),
        Option("format", "", "string", "Pretty-print search using a Go template"),
        Option("limit", "", "int", "Max number of search results"),
        Option("no-trunc", "", "bool", "Don't truncate output"),
    ),
    minimum=1,
    maximum=1,
)
