"""Lists through the user's template: ``--format`` of the list commands."""

from __future__ import annotations

from wherry.cli.errors import CliError
from wherry.cli.format.rows import Row
from wherry.cli.format.table import align
from wherry.cli.format.template.engine import HEADERS, Template, TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from wherry.cli.format.rows import Kind


def drawn_with_template(kind: Kind, items: Iterable[Any], template: str) -> str:
    """Draw a row per item; "json" is one document per line, "table …" has headers and columns."""
    tabular = template.startswith("table")
    if template == "json":
        template = "{{json .}}"
    elif tabular:
        template = template.removeprefix("table")
    template = template.strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    try:
        compiled = Template(template)
        lines = [compiled.render(Row(kind, item)) + "\n" for item in items]
        if not tabular:
            return "".join(lines)
        header = compiled.render(HeaderRow(kind), functions=HEADERS)
    except TemplateError as error:
        raise CliError(f"template parsing error: {error}") from error
    return align(f"{header}\n{''.join(lines)}")


class HeaderRow(dict[str, str]):
    """The headers as templates see them: a map, whose ``Label`` method names a label's column."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind.headers)

    @staticmethod
    def label(name: str) -> str:
        """The header of ``{{.Label "com.example.name"}}``."""
        return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def fields_used(kind: Kind, template: str, blank: object) -> set[str]:
    """Try the template on a blank item, raise docker's words if it fails, and return the fields that it reads."""
    try:
        compiled = Template(template)
    except TemplateError as error:
        raise CliError(f"failed to parse template: {error}") from error
    row = Row(kind, blank)
    try:
        compiled.render(row)
    except TemplateError as error:
        raise CliError(f"failed to execute template: {error}") from error
    return row.used
