"""Other OCI runtimes in the daemon's settings: ``--add-runtime NAME=PATH`` and the file's ``runtimes``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.lib.errors import InvalidArgument
from wherry.runtime.foreign_registry import OWN, Known

_SHIM = "io.containerd.runc.v2"


def merge(flags: Sequence[str], file: object) -> dict[str, Known]:
    """All that both name. Raises InvalidArgument in dockerd's words."""
    found: dict[str, Known] = {}
    for flag in flags:
        name, _, path = flag.partition("=")
        name, path = name.strip().lower(), path.strip()
        if not name or not path:
            raise InvalidArgument(f"invalid runtime argument: {flag}")
        _add(found, name, Known(path))
    if not isinstance(file, dict):
        raise InvalidArgument(f"invalid value for runtimes: {file!r}")
    for name, entry in file.items():
        _add(found, name, _from_file(name, entry))
    return found


def _add(found: dict[str, Known], name: str, known: Known) -> None:
    if name == OWN:
        raise InvalidArgument(f"runtime name '{name}' is reserved")
    if name in found:
        raise InvalidArgument(f"runtime '{name}' was already defined")
    found[name] = known


def _from_file(name: str, entry: Any) -> Known:
    """One of the file: ``path`` and ``runtimeArgs``, or containerd's shim for runc with a program of its own."""
    if not isinstance(entry, dict):
        raise InvalidArgument(f"invalid runtime '{name}': expected an object")
    unknown = sorted(set(entry) - {"path", "runtimeArgs", "runtimeType", "options"})
    if unknown:
        raise InvalidArgument(f"invalid runtime '{name}': unknown field {unknown[0]!r}")
    path, arguments = entry.get("path") or "", entry.get("runtimeArgs") or []
    if kind := entry.get("runtimeType"):
        if path or arguments:
            raise InvalidArgument(f"runtime {name}: options cannot be used with the path of a runtime binary")
        if kind != _SHIM:
            raise InvalidArgument(f"runtime {name}: runtimeType {kind!r} is not supported: {_SHIM} is")
        path = (entry.get("options") or {}).get("BinaryName") or "runc"
    if not isinstance(path, str) or not path:
        raise InvalidArgument(f"runtime {name}: either a runtimeType or a path must be configured")
    if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
        raise InvalidArgument(f"runtime {name}: runtimeArgs must be a list of strings")
    return Known(path, tuple(arguments))
