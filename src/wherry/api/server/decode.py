"""Request bodies: JSON into a Wire model with the semantics of Go's encoding/json, and its words when it fails.

What differs from msgspec's own rules: member names match in any case; null leaves the default, and is the zero value in
a list or map; an array of fixed size may come shorter or longer; a command may be one string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
from msgspec import inspect

from wherry.lib.errors import InvalidArgument
from wherry.wire.fields import STRING_OR_LIST

T = TypeVar("T")

Convert: TypeAlias = Callable[[Any, str, str], Any]
"""From a parsed value, the name of the struct it stands in and the path inside the body."""

_INT64 = range(-(2**63), 2**64)
_MALFORMED = re.compile(r".*\(byte (\d+)\)")


def decode_json(body: bytes, model: type[T]) -> T:
    """``body`` as ``model``. Raises InvalidArgument."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"invalid JSON: {_syntax(body, error)}") from None
    try:
        value = msgspec.convert(_converter(cast("Hashable", model))(raw, "", ""), model)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid JSON: {error}") from None
    return value


def check_content_type(value: str, *, has_body: bool) -> None:
    """A body must be declared as JSON. Raises InvalidArgument in Docker's words."""
    if not value and not has_body:
        return
    media_type = value.partition(";")[0].strip().lower()
    if media_type == "application/json":
        return
    if not media_type:
        raise InvalidArgument(f"malformed Content-Type header ({value}): mime: no media type")
    raise InvalidArgument(f"unsupported Content-Type header ({value}): must be 'application/json'")


def _syntax(body: bytes, error: Exception) -> str:
    """A syntax error as Go puts it."""
    text = str(error)
    if isinstance(error, RecursionError):
        return "exceeded max depth"
    if "truncated" in text:
        return "unexpected EOF"
    if "trailing" in text:
        return "unexpected content after JSON"
    match = _MALFORMED.fullmatch(text)
    if match is None or int(match[1]) >= len(body):
        return text
    character = chr(body[int(match[1])])
    return f"invalid character {character!r} looking for beginning of value"


@lru_cache(maxsize=256)
def _converter(model: Hashable) -> Convert:
    return _build(inspect.type_info(model))


def _build(info: inspect.Type) -> Convert:
    if isinstance(info, inspect.Metadata):
        inner = _build(info.type)
        return _string_or_list(inner) if (info.extra or {}).get(STRING_OR_LIST) else inner
    if isinstance(info, inspect.UnionType):
        others = [kind for kind in info.types if not isinstance(kind, inspect.NoneType)]
        return _nullable(_build(others[0])) if len(others) == 1 else _any
    if isinstance(info, inspect.StructType):
        return _struct(info)
    if isinstance(info, inspect.ListType):
        return _list(_build(info.item_type), _go_name(info))
    if isinstance(info, inspect.TupleType):
        return _array([_build(item) for item in info.item_types], _go_name(info))
    if isinstance(info, inspect.DictType):
        return _map(_build(info.value_type), _go_name(info))
    if isinstance(info, inspect.IntType):
        return _integer
    for kind, accepted, zero in (
        (inspect.StrType, (str,), ""),
        (inspect.BoolType, (bool,), False),
        (inspect.FloatType, (int, float), 0.0),
    ):
        if isinstance(info, kind):
            return _scalar(accepted, zero, _go_name(info))
    return _any


def _any(raw: Any, _struct_name: str, _path: str) -> Any:
    return raw


def _nullable(inner: Convert) -> Convert:
    return lambda raw, struct, path: None if raw is None else inner(raw, struct, path)


def _scalar(accepted: tuple[type, ...], zero: object, name: str) -> Convert:
    def convert(raw: Any, struct: str, path: str) -> Any:
        if raw is None:
            return zero
        if type(raw) not in accepted:
            raise _mismatch(raw, struct, path, name)
        return raw

    return convert


def _integer(raw: Any, struct: str, path: str) -> Any:
    if raw is None:
        return 0
    if type(raw) is not int or raw not in _INT64:
        raise _mismatch(raw, struct, path, "int64")
    return raw


def _string_or_list(inner: Convert) -> Convert:
    """What moby calls strslice."""
    return lambda raw, struct, path: [raw] if isinstance(raw, str) else inner(raw, struct, path)


def _list(item: Convert, name: str) -> Convert:
    def convert(raw: Any, struct: str, path: str) -> Any:
        if raw is None:
            return []
        if not isinstance(raw, list):
            raise _mismatch(raw, struct, path, name)
        return [item(value, struct, path) for value in raw]

    return convert


def _array(items: list[Convert], name: str) -> Convert:
    def convert(raw: Any, struct: str, path: str) -> Any:
        if raw is not None and not isinstance(raw, list):
            raise _mismatch(raw, struct, path, name)
        values = list(raw or ())[: len(items)]
        values += [None] * (len(items) - len(values))
        return [item(value, struct, path) for item, value in zip(items, values, strict=True)]

    return convert


def _map(item: Convert, name: str) -> Convert:
    def convert(raw: Any, struct: str, path: str) -> Any:
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            raise _mismatch(raw, struct, path, name)
        return {key: item(value, struct, path) for key, value in raw.items()}

    return convert


def _struct(info: inspect.StructType) -> Convert:
    name = info.cls.__name__
    exact = {field.encode_name: (field.encode_name, _build(field.type)) for field in info.fields}
    folded = {key.lower(): entry for key, entry in exact.items()}

    def convert(raw: Any, struct: str, path: str) -> Any:
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            raise _mismatch(raw, struct, path, name)
        members: dict[str, Any] = {}
        for key, value in raw.items():
            entry = exact.get(key) or folded.get(key.lower())
            if entry is not None and value is not None:
                member, inner = entry
                members[member] = inner(value, name, f"{path}.{member}" if path else member)
        return members

    return convert


def _mismatch(raw: object, struct: str, path: str, name: str) -> InvalidArgument:
    where = f"Go struct field {struct}.{path}" if path else "Go value"
    return InvalidArgument(f"invalid JSON: json: cannot unmarshal {_json_kind(raw, name)} into {where} of type {name}")


def _json_kind(raw: object, wanted: str) -> str:
    if isinstance(raw, bool):
        return "bool"
    if isinstance(raw, (int, float)):
        return f"number {raw}" if wanted == "int64" else "number"
    return {str: "string", list: "array", dict: "object"}.get(cast("Any", type(raw)), "null")


def _go_name(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        return _go_name(info.type)
    if isinstance(info, inspect.UnionType):
        return next((_go_name(kind) for kind in info.types if not isinstance(kind, inspect.NoneType)), "interface {}")
    if isinstance(info, inspect.ListType):
        return f"[]{_go_name(info.item_type)}"
    if isinstance(info, inspect.TupleType):
        return f"[{len(info.item_types)}]{_go_name(info.item_types[0])}"
    if isinstance(info, inspect.DictType):
        return f"map[string]{_go_name(info.value_type)}"
    if isinstance(info, inspect.StructType):
        return info.cls.__name__
    names: dict[type[inspect.Type], str] = {
        inspect.StrType: "string",
        inspect.IntType: "int64",
        inspect.BoolType: "bool",
        inspect.FloatType: "float64",
    }
    return names.get(type(info), "interface {}")
