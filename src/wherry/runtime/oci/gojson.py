"""JSON as Go's encoding/json writes it, for what other programs read. By ``_json``, without ``json``."""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_quote = _json.encode_basestring
_ESCAPED = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))


def encode(value: object, indent: str = "") -> str:
    """``value`` on one line, or spread out with ``indent``. A dict keeps its order: sort what is a map in Go."""
    return _encode(value, indent, "\n" if indent else "")


def string(text: str) -> str:
    """A JSON string, with the characters escaped that could end an HTML script."""
    quoted: str = _quote(text.encode("utf-8", "replace").decode())
    for plain, escaped in _ESCAPED:
        if plain in quoted:
            quoted = quoted.replace(plain, escaped)
    return quoted


def _encode(value: object, indent: str, newline: str) -> str:
    match value:
        case str():
            return string(value)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case int() | float():
            return repr(value)
        case dict():
            colon = ": " if indent else ":"
            inner = newline + indent
            return _wrap(
                "{}",
                (f"{string(str(name))}{colon}{_encode(item, indent, inner)}" for name, item in value.items()),
                inner,
                newline,
            )
        case list() | tuple():
            inner = newline + indent
            return _wrap("[]", (_encode(item, indent, inner) for item in value), inner, newline)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _wrap(brackets: str, items: Iterable[str], inner: str, newline: str) -> str:
    body = f",{inner}".join(items)
    return f"{brackets[0]}{inner}{body}{newline}{brackets[1]}" if body else brackets
