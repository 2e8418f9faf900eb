"""What every ``prune`` shares: the question, the filters, the report."""

from __future__ import annotations

from wherry.cli.app import confirm
from wherry.cli.common import filters_query
from wherry.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

Filters = dict[str, dict[str, bool]]


def allowed(app: App, options: Parsed, warning: str) -> bool:
    """Ask unless ``--force``."""
    return bool(options["force"]) or confirm(app, f"WARNING! {warning}\nAre you sure you want to continue?")


def with_configured(app: App, filters: Filters) -> Filters:
    """The filters given, and those of the user's config.json that do not contradict them."""
    found = {name: dict(values) for name, values in filters.items()}
    for line in app.config.prune_filters():
        name, equals, value = line.partition("=")
        opposite = {"label": "label!", "label!": "label"}.get(name, "")
        if equals and value not in found.get(opposite, {}):
            found.setdefault(name, {})[value] = True
    return found


def prune(app: App, nouns: str, filters: Filters) -> tuple[int, str]:
    """Prune, and tell what it was: bytes reclaimed and the text to print."""
    report = system.prune(app.client, nouns, filters_query(filters))
    text = _text(nouns, report)
    return (int(report.get("SpaceReclaimed") or 0) if text else 0), text


def _text(nouns: str, report: dict[str, Any]) -> str:
    if nouns == "images":
        deleted = report.get("ImagesDeleted") or []
        lines = [
            f"untagged: {one['Untagged']}\n" if one.get("Untagged") else f"deleted: {one.get('Deleted', '')}\n"
            for one in deleted
        ]
    elif nouns == "build":
        lines = [f"{one}\n" for one in report.get("CachesDeleted") or []]
        return "Deleted build cache objects:\n" + "".join(lines) if lines else ""
    else:
        lines = [f"{one}\n" for one in report.get(f"{nouns.capitalize()}Deleted") or []]
    return f"Deleted {nouns.capitalize()}:\n" + "".join(lines) if lines else ""


def print_reclaimed(app: App, space: int, text: str) -> int:
    """The report's end."""
    from wherry.cli.format.units import human_size

    if text:
        app.line(text)
    app.line(f"Total reclaimed space: {human_size(space)}")
    return 0
