"""``org.systemd.property.NAME`` annotations of a container: further properties of its scope, as runc takes them. Pure.

Values are GVariant text: ``'text'``, ``true``, ``uint64 5``, ``["a", "b"]``, ``@as []``. A time in seconds
(``TimeoutStopSec``) is set in microseconds (``TimeoutStopUSec``), for that is what units have.
"""

from __future__ import annotations

from wherry.linux.cgroups.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.systemd_properties import Property

_PREFIX = "org.systemd.property."
_SHORTEST = 3
_TYPES = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
}
_ESCAPES = {"n": "\n", "t": "\t"}


def properties(annotations: Mapping[str, str]) -> list[Property]:
    """The properties that the annotations ask for. Raises CgroupError in runc's words."""
    found: list[Property] = []
    for key, value in annotations.items():
        if not key.startswith(_PREFIX):
            continue
        name = key.removeprefix(_PREFIX)
        if len(name) < _SHORTEST or not name.isascii() or not name.isalpha():
            raise CgroupError(f"annotation {key} name incorrect: invalid name (only letters allowed): {name}")
        try:
            found.append(_timed(name, parse(value)))
        except ValueError as error:
            raise CgroupError(f"annotation {key}={value} value parse error: {error}") from None
    return found


def parse(text: str) -> tuple[str, Any]:
    """One value with its D-Bus signature. Raises ValueError."""
    text = text.strip()
    if text.startswith("@"):
        signature, _, rest = text[1:].partition(" ")
        return signature, _plain(signature, rest)
    word, _, rest = text.partition(" ")
    if word in _TYPES and rest:
        return _TYPES[word], _plain(_TYPES[word], rest)
    if text.startswith("["):
        items = [parse(item) for item in _items(text)]
        if not items:
            raise ValueError("an empty array needs a type")
        if any(item[0] != items[0][0] for item in items):
            raise ValueError("array of mixed types")
        return _array(items[0][0], [item[1] for item in items])
    signature = "b" if text in ("true", "false") else "s" if text[:1] in ("'", '"') else "d" if "." in text else "i"
    return signature, _plain(signature, text)


def _plain(signature: str, text: str) -> Any:
    text = text.strip()
    if signature == "b":
        if text not in ("true", "false"):
            raise ValueError(f"no boolean: {text}")
        return text == "true"
    if signature == "s":
        return _unquote(text)
    if signature == "d":
        return float(text)
    if len(signature) == 1 and signature in "ynqiuxt":
        return int(text, 0)
    if signature[:1] == "a" and len(signature) == 2:
        return _array(signature[1], [_plain(signature[1], item) for item in _items(text)])[1]
    raise ValueError(f"unsupported type {signature}")


def _array(signature: str, items: list[Any]) -> tuple[str, Any]:
    return f"a{signature}", bytes(items) if signature == "y" else items


def _unquote(text: str) -> str:
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        raise ValueError(f"no quoted text: {text}")
    out, escaped = "", False
    for char in text[1:-1]:
        if escaped or char != "\\":
            out += _ESCAPES.get(char, char) if escaped else char
        escaped = char == "\\" and not escaped
    return out


def _items(text: str) -> list[str]:
    """The parts of ``[a, b]``; commas in quotes do not part them."""
    if len(text) < 2 or text[0] != "[" or text[-1] != "]":
        raise ValueError(f"no array: {text}")
    items, current, quote = [], "", ""
    for char in text[1:-1]:
        if not quote and char == ",":
            items.append(current)
            current = ""
            continue
        if char in "'\"":
            quote = "" if char == quote else quote or char
        current += char
    items.append(current)
    return [item for item in items if item.strip()]


def _timed(name: str, value: tuple[str, Any]) -> Property:
    stem = name.removesuffix("Sec")
    if stem == name or not stem[-1:].islower():
        return name, value
    if value[0] not in "ynqiuxtd":
        raise ValueError("not a number")
    return f"{stem}USec", ("t", int(value[1] * 1_000_000))
