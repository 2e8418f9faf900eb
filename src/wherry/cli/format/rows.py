"""Lists of things: as a table, as ids alone, as JSON lines, or through the user's template.

A noun describes its rows once, as a ``Kind``: the fields that templates may use, and each field's column header.
The default tables need no template engine, so it is loaded only for ``--format``.
"""

from __future__ import annotations

from wherry.cli.format.table import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from wherry.cli.app import App

    Field = Callable[[Any], object]


class Kind:
    """What a list's rows are."""

    __slots__ = ("fields", "go_type", "headers", "methods")

    def __init__(
        self,
        go_type: str,
        headers: Mapping[str, str],
        fields: Mapping[str, Field],
        methods: Mapping[str, Callable[[Any, str], object]] | None = None,
    ) -> None:
        """``go_type`` is what error messages call a row; ``methods`` take one argument, as ``{{.Label "x"}}``."""
        self.go_type = go_type
        self.headers = headers
        self.fields = fields
        self.methods = methods or {}


class Row:
    """One thing, with its fields worked out when they are asked for."""

    __slots__ = ("data", "kind", "used")

    def __init__(self, kind: Kind, data: Any) -> None:
        self.kind = kind
        self.data = data
        self.used: set[str] = set()

    def field(self, name: str) -> object:
        """A field's value. Raises ``KeyError`` if the kind has none of that name."""
        read = self.kind.fields[name]
        self.used.add(name)
        return read(self.data)

    def everything(self) -> dict[str, object]:
        """All fields, in the order JSON shows them."""
        return {name: self.field(name) for name in sorted(self.kind.fields)}


def show(app: App, kind: Kind, items: Iterable[Any], template: str, columns: Sequence[str]) -> None:
    """Print items as ``drawn`` draws them."""
    app.out(drawn(kind, items, template, columns))


def drawn(kind: Kind, items: Iterable[Any], template: str, columns: Sequence[str]) -> str:
    """Items through ``template`` if it is one, else as a table of ``columns`` (one column alone has no header)."""
    if template not in {"", "table"}:
        from wherry.cli.format.listing import drawn_with_template

        return drawn_with_template(kind, items, template)
    if len(columns) == 1:
        read = kind.fields[columns[0]]
        return "".join(f"{read(item)}\n" for item in items)
    rows = [[str(kind.fields[name](item)) for name in columns] for item in items]
    return table([[kind.headers[name] for name in columns], *rows])
