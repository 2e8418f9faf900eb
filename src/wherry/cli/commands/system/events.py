"""``wherry events``: what happens, as it happens."""

from __future__ import annotations

from wherry.cli.common import EVENTS_FORMAT, FILTER, filters_query
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.format.text import rfc3339
from wherry.client import system
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_BAD_TEMPLATE = 64


def _run(app: App, options: Parsed) -> int:
    draw = _renderer(options["format"]) if options["format"] else _text
    query = filters_query(options["filter"])
    for name in ("since", "until"):
        if options[name]:
            query[name] = _moment(options[name])
    for line in system.events(app.client, dict(sorted(query.items()))).lines():
        app.line(draw(loads(line)))
    return 0


def _moment(text: str) -> str:
    from wherry.cli.timestamps import timestamp

    try:
        return timestamp(text)
    except ValueError as error:
        raise CliError(str(error)) from error


def _text(event: dict[str, Any]) -> str:
    actor = event.get("Actor") or {}
    head = f"{event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    if event.get("timeNano"):
        head = f"{rfc3339(*divmod(event['timeNano'], 10**9))} {head}"
    elif event.get("time"):
        head = f"{rfc3339(event['time'], 0)} {head}"
    attributes = actor.get("Attributes") or {}
    if attributes:
        head += f" ({', '.join(f'{name}={attributes[name]}' for name in sorted(attributes))})"
    return head


def _renderer(template: str) -> Callable[[dict[str, Any]], str]:
    from wherry.cli.format.gojson import encode
    from wherry.cli.format.template.engine import Template, TemplateError

    if template in {"json", "{{json .}}"}:
        return encode
    try:
        compiled = Template(template)
        compiled.render(_typed({}))  # a field that events do not have is told before any event
    except TemplateError as error:
        raise CliError(f"Error parsing format: {error}", _BAD_TEMPLATE) from error

    def render(event: dict[str, Any]) -> str:
        try:
            return compiled.render(_typed(event))
        except TemplateError as error:
            raise CliError(str(error)) from error

    return render


def _typed(event: dict[str, Any]) -> object:
    from wherry.cli.format.template.engine import Struct

    actor = event.get("Actor") or {}
    inner = Struct("events.Actor", {"ID": actor.get("ID", ""), "Attributes": actor.get("Attributes") or {}})
    return Struct(
        "*events.Message",
        {
            "Status": event.get("status", ""),
            "ID": event.get("id", ""),
            "From": event.get("from", ""),
            "Type": event.get("Type", ""),
            "Action": event.get("Action", ""),
            "Actor": inner,
            "Scope": event.get("scope", ""),
            "Time": event.get("time", 0),
            "TimeNano": event.get("timeNano", 0),
        },
    )


EVENTS = Command(
    _run,
    usage="[OPTIONS]",
    short="Get real time events from the server",
    options=(
        FILTER,
        EVENTS_FORMAT,
        Option("since", "", "string", "Show all events created since timestamp"),
        Option("until", "", "string", "Stream events until this timestamp"),
    ),
    maximum=0,
    aliases="system events, events",
)
