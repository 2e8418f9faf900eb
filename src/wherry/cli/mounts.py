"""``--mount`` and ``--volume``: what the user writes, as the API's Mount and Binds."""

from __future__ import annotations

import os

from wherry.cli.app import App
from wherry.cli.flags import integer
from wherry.cli.format.units import ram_in_bytes
from wherry.cli.values import boolean, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ALONE = {"readonly", "ro", "volume-nocopy", "bind-nonrecursive"}
_OWNER = {"VolumeOptions": "volume", "ImageOptions": "image", "BindOptions": "bind", "TmpfsOptions": "tmpfs"}
_RECURSIVE = {
    "enabled": "",
    "disabled": "NonRecursive",
    "writable": "ReadOnlyNonRecursive",
    "readonly": "ReadOnlyForceRecursive",
}


def parse_mount(text: str) -> dict[str, Any]:
    """Read type=…,source=…,target=… Raises ``ValueError`` with docker's words."""
    found: dict[str, Any] = {"Type": "volume"}
    for field in fields(text):
        name, has_value, value = field.partition("=")
        name = name.lower()
        if not has_value:
            if name not in _ALONE:
                raise ValueError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        _apply(found, name, value, field, warn=bool(has_value))
    _check(found)
    return {key: value for key, value in found.items() if value not in ("", False)}


def _apply(found: dict[str, Any], name: str, value: str, field: str, *, warn: bool) -> None:  # noqa: C901, PLR0912  a table
    match name:
        case "type":
            found["Type"] = value.lower()
        case "source" | "src":
            found["Source"] = absolute(value)
        case "target" | "dst" | "destination":
            found["Target"] = value
        case "readonly" | "ro":
            found["ReadOnly"] = _flag(name, value)
        case "consistency":
            found["Consistency"] = value.lower()
        case "bind-propagation":
            _options(found, "BindOptions")["Propagation"] = value.lower()
        case "bind-nonrecursive":
            _set(_options(found, "BindOptions"), "NonRecursive", _flag(name, value))
            if warn:
                App.err("WARN: bind-nonrecursive is deprecated, use bind-recursive=disabled instead\n")
        case "bind-recursive":
            if value not in _RECURSIVE:
                raise ValueError(
                    f'invalid value for {name}: {value} (must be "enabled", "disabled", "writable", or "readonly")'
                )
            if _RECURSIVE[value]:
                _options(found, "BindOptions")[_RECURSIVE[value]] = True
        case "volume-subpath":
            _set(_volume(found), "Subpath", value)
        case "volume-nocopy":
            _set(_volume(found), "NoCopy", _flag(name, value))
        case "volume-label":
            _pair(_volume(found).setdefault("Labels", {}), value)
        case "volume-driver":
            _set(_volume(found)["DriverConfig"], "Name", value)
        case "volume-opt":
            _pair(_volume(found)["DriverConfig"].setdefault("Options", {}), value)
        case "image-subpath":
            _set(_options(found, "ImageOptions"), "Subpath", value)
        case "tmpfs-size":
            _set(_options(found, "TmpfsOptions"), "SizeBytes", _number(name, value, ram_in_bytes))
        case "tmpfs-mode":
            _set(_options(found, "TmpfsOptions"), "Mode", _number(name, value, _octal))
        case _:
            raise ValueError(f"unexpected key '{name}' in '{field}'")


def _options(found: dict[str, Any], group: str) -> dict[str, Any]:
    options: dict[str, Any] = found.setdefault(group, {})
    return options


def _volume(found: dict[str, Any]) -> dict[str, Any]:
    options = _options(found, "VolumeOptions")
    options.setdefault("DriverConfig", {})
    return options


def _set(options: dict[str, Any], name: str, value: object) -> None:
    """Leave zero values out, as Go's omitempty does."""
    options.pop(name, None)
    if value:
        options[name] = value


def _pair(table: dict[str, str], text: str) -> None:
    name, _, value = text.partition("=")
    if name:
        table[name] = value


def _flag(name: str, value: str) -> bool:
    try:
        return boolean(value)
    except ValueError:
        raise ValueError(f"invalid value for {name}: {value}") from None


def _number(name: str, value: str, read: Any) -> int:
    try:
        return int(read(value))
    except ValueError:
        raise ValueError(f"invalid value for {name}: {value}") from None


def _octal(text: str) -> int:
    return integer(f"0o{text}", unsigned=True, bits=32)


def _check(found: dict[str, Any]) -> None:
    kind = found["Type"]
    if not kind:
        raise ValueError("type is required")
    if not found.get("Target"):
        raise ValueError("target is required")
    for group, owner in _OWNER.items():
        if group in found and kind != owner:
            raise ValueError(f"cannot mix '{owner}-*' options with mount type '{kind}'")
    bind = found.get("BindOptions", {})
    for name, option in (("ReadOnlyNonRecursive", "writable"), ("ReadOnlyForceRecursive", "readonly")):
        if bind.get(name) and not found.get("ReadOnly"):
            raise ValueError(f"option 'bind-recursive={option}' requires 'readonly' to be specified in conjunction")
    if bind.get("ReadOnlyForceRecursive") and bind.get("Propagation") != "rprivate":
        raise ValueError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
        )


def absolute(path: str) -> str:
    """A path that begins with a dot, made absolute; any other as it is."""
    return os.path.abspath(path) if path.startswith(".") else path


def split_volumes(specs: list[str]) -> tuple[list[str], dict[str, object]]:
    """What ``--volume`` gives: Binds, and the anonymous Volumes."""
    binds: list[str] = []
    volumes: dict[str, object] = {}
    for spec in dict.fromkeys(specs):
        source = _source(spec)
        if not source:
            volumes[spec] = {}
        elif source[0] in "./~" or source.startswith("\\\\"):
            host, _, target = spec.partition(":")
            binds.append(f"{absolute(host)}:{target}")
        else:
            binds.append(spec)
    return binds, volumes


def _source(spec: str) -> str:
    """The part before the target, empty for an anonymous volume. "c:" is a Windows drive, as it is for docker."""
    if not spec:
        raise ValueError("invalid empty volume spec")
    if len(spec) <= 2:
        return ""
    parts: list[str] = []
    part = ""
    for character in spec + ":":
        if character == ":" and not (len(part) == 1 and part.isalpha() and len(parts) + len(part) < len(spec)):
            if not part:
                raise ValueError(f"invalid spec: {spec}: empty section between colons")
            parts.append(part)
            part = ""
        else:
            part += character
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {spec}: too many colons")
    return parts[0] if len(parts) > 1 else ""
