"""The functions that templates call: Go's own and the ones docker adds.

A row says the parameters' types, as Go checks them before the call; the last type repeats if it ends with "...".
"""

from __future__ import annotations

from wherry.cli.format.gojson import encode
from wherry.cli.format.rows import Row
from wherry.cli.format.template.printing import (
    NO_VALUE,
    NilList,
    NilMap,
    NoValue,
    Struct,
    go_type,
    plain,
    sprint,
    sprintf,
)
from wherry.client.query import quote as percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Function = tuple[Callable[..., Any], tuple[str, ...]]


class FunctionError(Exception):
    """A function refuses its arguments; the engine says where."""


def truth(value: object) -> bool:
    """Whether a value counts as true: not zero, not empty, not nil."""
    if isinstance(value, Row | Struct):
        return True
    return bool(value)


def to_json(value: object) -> str:
    """As docker's json function: not escaped for HTML, except inside of rows, which Go marshals by themselves."""
    if isinstance(value, Row):
        return encode(value.everything(), html=True)
    if isinstance(value, NoValue):
        return "null"
    return encode(_with_nulls(value))


def _with_nulls(value: object) -> object:
    if isinstance(value, NilList | NilMap):
        return None
    if isinstance(value, dict):
        return {key: _with_nulls(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_nulls(one) for one in value]
    return value


def index(item: object, *keys: object) -> object:
    """item[key][key]…"""
    for key in keys:
        if item is None or item is NO_VALUE:
            raise FunctionError("index of untyped nil")
        if isinstance(item, list | str):
            if not isinstance(key, int) or isinstance(key, bool):
                raise FunctionError(f"cannot index slice/array with type {go_type(key)}")
            if not 0 <= key < len(item):
                raise FunctionError(f"index out of range: {key}")
            item = item[key] if isinstance(item, list) else item.encode()[key]
        elif isinstance(item, dict) and not isinstance(item, Struct):
            if not isinstance(key, str):
                raise FunctionError(f"value has type {go_type(key)}; should be string")
            item = item.get(key, NO_VALUE)
        else:
            raise FunctionError(f"can't index item of type {go_type(item)}")
    return item


def cut(item: object, *bounds: object) -> object:
    """item[low:high]."""
    if not isinstance(item, list | str):
        raise FunctionError(f"can't slice item of type {go_type(item)}")
    if len(bounds) > 3:
        raise FunctionError(f"too many slice indexes: {len(bounds)}")
    raw = item.encode() if isinstance(item, str) else item
    low, high = 0, len(raw)
    for at, bound in enumerate(bounds):
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise FunctionError(f"cannot index slice/array with type {go_type(bound)}")
        if not 0 <= bound <= len(raw):
            raise FunctionError(f"index out of range: {bound}")
        low, high = (bound, high) if at == 0 else (low, bound)
    if low > high:
        raise FunctionError(f"invalid slice index: {low} > {high}")
    piece = raw[low:high]
    return piece.decode("utf-8", "replace") if isinstance(piece, bytes) else piece


def length(item: object) -> int:
    """How many bytes or items."""
    if item is None or item is NO_VALUE:
        raise FunctionError("len of nil pointer")
    if isinstance(item, str):
        return len(item.encode("utf-8", "surrogateescape"))
    if isinstance(item, list | dict) and not isinstance(item, Struct):
        return len(item)
    raise FunctionError(f"len of type {go_type(item)}")


def both(*values: object) -> object:
    """The first false value, or the last."""
    return next((value for value in values if not truth(value)), values[-1])


def either(*values: object) -> object:
    """The first true value, or the last."""
    return next((value for value in values if truth(value)), values[-1])


def _basic(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    for kind, name in ((int, "int"), (float, "float"), (str, "string")):
        if isinstance(value, kind):
            return name
    return "nil" if value is None or value is NO_VALUE else "other"


def equal(first: object, *others: object) -> bool:
    """Whether the first equals any other."""
    if not others:
        raise FunctionError("missing argument for comparison")
    for other in others:
        kinds = {_basic(first), _basic(other)}
        if "nil" in kinds:
            if kinds == {"nil"}:
                return True
            continue
        if "other" in kinds and kinds != {"other"}:
            raise FunctionError("incompatible types for comparison")
        if "other" in kinds:
            raise FunctionError(f"non-comparable type {plain(first)}: {go_type(first)}")
        if len(kinds) > 1:
            raise FunctionError("incompatible types for comparison")
        if first == other:
            return True
    return False


def less(first: Any, second: Any) -> bool:
    """Whether the first is less."""
    kinds = {_basic(first), _basic(second)}
    if kinds & {"nil", "other"}:
        raise FunctionError("invalid type for comparison")
    if len(kinds) > 1:
        raise FunctionError("incompatible types for comparison")
    if kinds == {"bool"}:
        raise FunctionError("invalid type for comparison")
    return bool(first < second)


def not_more(first: object, second: object) -> bool:
    """Whether the first is less or equal."""
    return less(first, second) or equal(first, second)


def title(text: str) -> str:
    """Every word's first letter in upper case."""
    out, inside = [], False
    for character in text:
        out.append(character if inside else character.upper())
        inside = character.isalnum() or character in "_'"
    return "".join(out)


def pad(text: str, before: int, after: int) -> str:
    """Spaces around a text that is not empty."""
    if before < 0 or after < 0:
        raise FunctionError("strings: negative Repeat count")
    return f"{' ' * before}{text}{' ' * after}" if text else text


def truncate(text: str, size: int) -> str:
    """At most so many bytes."""
    raw = text.encode("utf-8", "surrogateescape")
    if size < 0:
        raise FunctionError(f"slice bounds out of range [:{size}]")
    return text if len(raw) < size else raw[:size].decode("utf-8", "replace")


def join(values: list[object], separator: str) -> str:
    """A list of texts as one."""
    if not all(isinstance(value, str) for value in values):
        raise FunctionError(f"wrong type for value; expected []string; got {go_type(values)}")
    return separator.join(str(value) for value in values)


def split(text: str, separator: str) -> list[str]:
    """A text as a list; an empty separator splits at every character."""
    return text.split(separator) if separator else list(text)


def html(*values: object) -> str:
    """Escaped for HTML."""
    text = sprint(values)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(character, entity)
    return text


def javascript(*values: object) -> str:
    """Escaped for JavaScript strings."""
    marks = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
    return "".join(
        marks.get(character) or (f"\\u{ord(character):04X}" if ord(character) < 32 else character)
        for character in sprint(values)
    )


def query(*values: object) -> str:
    """Escaped for a URL's query."""
    return percent(sprint(values)).replace("%20", "+")


def call(function: object, *_arguments: object) -> object:
    """No value of ours is a function."""
    raise FunctionError(f"non-function of type {go_type(function)}")


FUNCTIONS: dict[str, Function] = {
    "and": (both, ("any", "any...")),
    "call": (call, ("any", "any...")),
    "eq": (equal, ("any", "any...")),
    "ge": (lambda first, second: not less(first, second), ("any", "any")),
    "gt": (lambda first, second: not not_more(first, second), ("any", "any")),
    "html": (html, ("any...",)),
    "index": (index, ("any", "any...")),
    "join": (join, ("[]string", "string")),
    "js": (javascript, ("any...",)),
    "json": (to_json, ("any",)),
    "le": (not_more, ("any", "any")),
    "len": (length, ("any",)),
    "lower": (lambda text: text.lower(), ("string",)),
    "lt": (less, ("any", "any")),
    "ne": (lambda first, second: not equal(first, second), ("any", "any")),
    "not": (lambda value: not truth(value), ("any",)),
    "or": (either, ("any", "any...")),
    "pad": (pad, ("string", "int", "int")),
    "print": (lambda *values: sprint(values), ("any...",)),
    "printf": (lambda template, *values: sprintf(template, values), ("string", "any...")),
    "println": (lambda *values: " ".join(plain(value) for value in values) + "\n", ("any...",)),
    "slice": (cut, ("any", "any...")),
    "split": (split, ("string", "string")),
    "title": (title, ("string",)),
    "truncate": (truncate, ("string", "int")),
    "upper": (lambda text: text.upper(), ("string",)),
    "urlquery": (query, ("any...",)),
}

HEADERS: dict[str, Function] = {
    **FUNCTIONS,
    "json": (lambda text: text, ("string",)),
    "split": (lambda text, _: text, ("string", "string")),
    "join": (lambda text, _: text, ("string", "string")),
    "title": (lambda text: text, ("string",)),
    "lower": (lambda text: text, ("string",)),
    "upper": (lambda text: text, ("string",)),
    "truncate": (lambda text, _: text, ("string", "int")),
}
"""For a table's headers, which stay as they are whatever is done to their columns."""
