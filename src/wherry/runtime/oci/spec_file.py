"""Reading a bundle's config.json, and an exec's process.json."""

from __future__ import annotations

import os

from wherry.runtime import compact_json
from wherry.runtime.oci import shape
from wherry.runtime.oci.errors import Failure, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "config.json"
_LARGEST = 16 << 20


def enter_bundle(path: str) -> str:
    """Make the bundle the working directory; its absolute path. Raises Failure."""
    try:
        if path:
            os.chdir(path)
        return os.getcwd()
    except OSError as error:
        raise Failure(f"chdir {path}: {strerror(error)}") from error


def read_config() -> dict[str, Any]:
    """The configuration in the working directory, of the right types. Raises Failure."""
    try:
        return read(NAME, "Spec")
    except FileNotFoundError:
        raise Failure(f"JSON specification file {NAME} not found") from None


def read(path: str, kind: str) -> dict[str, Any]:
    """A JSON file of the shape ``kind``. Raises FileNotFoundError, Failure."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(_LARGEST)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Failure(f"open {path}: {strerror(error)}") from error
    return decode(data or b"", kind)


def decode(data: bytes, kind: str) -> dict[str, Any]:
    """The first value of ``data``, as Go's decoder takes it. Raises Failure."""
    try:
        value = compact_json.loads(data.lstrip(b" \t\r\n"))
    except (ValueError, SystemError, RecursionError) as error:
        # SystemError: the scanner wants to raise an exception of ``json``, which nobody has imported.
        from wherry.runtime.oci.json_errors import explain  # noqa: PLC0415  when it has gone wrong alone

        raise Failure(explain(data)) from error
    shape.check(value, kind)
    return (_without_nulls(value) if b"null" in data else value) or {}


def _without_nulls(value: Any) -> Any:
    """A field that is null is a field that is not there."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
