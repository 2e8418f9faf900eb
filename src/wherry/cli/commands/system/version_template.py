"""``wherry version --format``."""

from __future__ import annotations

from wherry.cli.errors import CliError
from wherry.cli.format.template.engine import Struct, Template, TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App

_BAD_TEMPLATE = 64


def compiled(template: str) -> Template:
    """Parse it. Raises ``CliError`` 64."""
    source = "{{json .}}" if template == "json" else template
    order = {"getDetailsOrder": (lambda component: sorted(component.get("Details") or {}), ("any",))}
    try:
        return Template(source, name="version", extra=order)
    except TemplateError as error:
        raise CliError(f"template parsing error: {error}", _BAD_TEMPLATE) from error


def rendered(app: App, template: str, client: dict[str, Any], server: dict[str, Any] | None) -> str:
    """The text. Raises ``CliError`` once a line is ended, as docker does."""
    data: dict[str, object] = {
        "Server": None
        if server is None
        else Struct("*types.Version", {**server, "APIVersion": server.get("ApiVersion", "")}),
    }
    if template in {"json", "{{json .}}"}:
        from wherry.cli.format.gojson import encode

        return encode({"Client": client, "Server": server}) + "\n"
    data["Client"] = Struct("system.clientVersion", {**client, "Platform": None, "APIVersion": client["ApiVersion"]})
    try:
        return compiled(template).render(Struct("system.versionInfo", data)) + "\n"
    except TemplateError as error:
        app.line("")
        raise CliError(str(error)) from error
