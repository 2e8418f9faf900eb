"""Options that many commands share, in docker's words."""

from __future__ import annotations

from wherry.cli.flags import Option

_TEMPLATES = """'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"""

FORMAT = Option(
    "format",
    "",
    "string",
    "Format output using a custom template:\n"
    "'table':            Print output in table format with column headers (default)\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\n" + _TEMPLATES,
)
INSPECT_FORMAT = Option("format", "f", "string", f"Format output using a custom template:\n{_TEMPLATES}")
EVENTS_FORMAT = Option("format", "", "string", f"Format output using a custom template:\n{_TEMPLATES}")
FORCE_PRUNE = Option("force", "f", "bool", "Do not prompt for confirmation")
FILTER = Option("filter", "f", "filter", "Filter output based on conditions provided")


def filters_query(filters: dict[str, dict[str, bool]]) -> dict[str, str]:
    """The ``filters`` parameter of list, prune and events calls."""
    if not filters:
        return {}
    from wherry.client.jsonio import dumps

    return {"filters": dumps({name: dict(sorted(filters[name].items())) for name in sorted(filters)})}
