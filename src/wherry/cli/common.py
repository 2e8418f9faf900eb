"""Options that many commands share, in docker's words."""

from __future__ import annotations

import os

from wherry.cli.errors import CliError
from wherry.cli.flags import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.flags import Parsed

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

PLATFORM = Option(
    "platform",
    "",
    "string",
    "Set platform if server is multi-platform capable",
    default=os.environ.get("DOCKER_DEFAULT_PLATFORM", ""),
    since="1.32",
)


def refuse_content_trust(options: Parsed) -> None:
    """Raise ``CliError`` for who wants signatures."""
    if not options["disable-content-trust"]:
        raise CliError("--disable-content-trust=false is not built yet: wherry knows no signatures of content trust")


def filters_query(filters: dict[str, dict[str, bool]]) -> dict[str, str]:
    """The ``filters`` parameter of list, prune and events calls."""
    if not filters:
        return {}
    from wherry.client.jsonio import dumps

    return {"filters": dumps({name: dict(sorted(filters[name].items())) for name in sorted(filters)})}
