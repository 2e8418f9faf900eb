"""``wherry history``: how an image was made."""

from __future__ import annotations

import time

from wherry.cli.common import FORMAT
from wherry.cli.flags import Command, Option
from wherry.cli.format.rows import Kind, show
from wherry.cli.format.text import ellipsis, rfc3339, short_id
from wherry.cli.format.units import human_duration, human_size
from wherry.client import image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_EPOCH_2000 = 946684800
_COLUMNS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
_PLAIN_COLUMNS = ("ID", "CreatedAt", "CreatedBy", "Size", "Comment")


class _Step:
    __slots__ = ("human", "trunc", "value")

    def __init__(self, value: dict[str, Any], *, human: bool, trunc: bool) -> None:
        self.value = value
        self.human = human
        self.trunc = trunc


def _created_since(step: _Step) -> str:
    created = step.value.get("Created", 0)
    if not step.human:
        return rfc3339(created)
    if created <= _EPOCH_2000:
        return "N/A"
    return f"{human_duration(time.time() - created)} ago"


def _created_by(step: _Step) -> str:
    text = step.value.get("CreatedBy", "").replace("\t", " ")
    return ellipsis(text, 45) if step.trunc else text


def _size(step: _Step) -> str:
    size = step.value.get("Size", 0)
    return human_size(size, 3) if step.human else str(size)


_STEPS = Kind(
    "*image.historyContext",
    {
        "ID": "IMAGE",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "CreatedBy": "CREATED BY",
        "Size": "SIZE",
        "Comment": "COMMENT",
    },
    {
        "ID": lambda step: short_id(step.value.get("Id", "")) if step.trunc else step.value.get("Id", ""),
        "CreatedSince": _created_since,
        "CreatedAt": lambda step: rfc3339(step.value.get("Created", 0)),
        "CreatedBy": _created_by,
        "Size": _size,
        "Comment": lambda step: step.value.get("Comment", ""),
    },
)


def _run(app: App, options: Parsed) -> int:
    query = {}
    if options["platform"]:
        from wherry.cli.platforms import as_json

        query["platform"] = as_json(options["platform"])
    found = image.history(app.client, options.args[0], query)
    steps = [_Step(one, human=options["human"], trunc=not options["no-trunc"]) for one in found]
    columns = ("ID",) if options["quiet"] else _COLUMNS if options["human"] else _PLAIN_COLUMNS
    show(app, _STEPS, steps, options["format"], columns)
    return 0


HISTORY = Command(
    _run,
    usage="[OPTIONS] IMAGE",
    short="Show the history of an image",
    options=(
        FORMAT,
        Option("human", "H", "bool", "Print sizes and dates in human readable format", default=True),
        Option("no-trunc", "", "bool", "Don't truncate output"),
        Option(
            "platform",
            "",
            "string",
            'Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")',
            since="1.48",
        ),
        Option("quiet", "q", "bool", "Only show image IDs"),
    ),
    minimum=1,
    maximum=1,
    aliases="image history, history",
)
