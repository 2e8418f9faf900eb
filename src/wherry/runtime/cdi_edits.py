"""What a CDI specification changes in a container's OCI spec, as types, and the change itself."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

HOOKS = frozenset({"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"})


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of the document, in which nothing may stand that is not known."""


class DeviceNode(_Part, frozen=True, kw_only=True):
    """A device node. Without type or numbers it is the host's at ``host_path``, which is ``path`` if empty."""

    path: str
    host_path: str = ""
    type: str = ""
    """``b``, ``c``, ``u`` or ``p``."""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class Mount(_Part, frozen=True, kw_only=True):
    """A mount, of type bind if empty."""

    host_path: str
    container_path: str
    options: list[str] = msgspec.field(default_factory=list)
    type: str = ""


class Hook(_Part, frozen=True, kw_only=True):
    """A program to run at one of the points in ``HOOKS``; timeout in seconds."""

    hook_name: str
    path: str
    args: list[str] | None = None
    env: list[str] | None = None
    timeout: int | None = None


class IntelRdt(_Part, frozen=True, kw_only=True):
    """Cache and memory bandwidth (resctrl)."""

    clos_id: str = msgspec.field(default="", name="closID")
    l3_cache_schema: str = msgspec.field(default="", name="l3CacheSchema")
    mem_bw_schema: str = ""
    enable_cmt: bool = msgspec.field(default=False, name="enableCMT")
    enable_mbm: bool = msgspec.field(default=False, name="enableMBM")


class ContainerEdits(_Part, frozen=True, kw_only=True):
    """All that a specification, or one of its devices, changes."""

    env: list[str] = msgspec.field(default_factory=list)
    device_nodes: list[DeviceNode] = msgspec.field(default_factory=list)
    hooks: list[Hook] = msgspec.field(default_factory=list)
    mounts: list[Mount] = msgspec.field(default_factory=list)
    intel_rdt: IntelRdt | None = None
    additional_gids: list[int] = msgspec.field(default_factory=list)


class EditError(Exception):
    """A device of the host that is not what the specification says."""


def apply_edits(spec: dict[str, Any], edits: Sequence[ContainerEdits], keep: Collection[str] = ()) -> list[int]:
    """Change ``spec`` in place; the supplementary groups that the processes are to have are returned.

    A mount of the user's at one of the paths ``keep`` wins over the specification's. Looks the host's devices up.
    Raises EditError.
    """
    for part in edits:
        for text in part.env:
            _set_environment(spec["process"], text)
        for node in part.device_nodes:
            _add_device(spec["linux"], node)
        for mount in part.mounts:
            if mount.container_path not in keep:
                _add_mount(spec, mount)
        for hook in part.hooks:
            spec.setdefault("hooks", {}).setdefault(hook.hook_name, []).append(_hook(hook))
        if part.intel_rdt is not None:
            spec["linux"]["intelRdt"] = _without_defaults(part.intel_rdt)
    if any(part.mounts for part in edits):
        # By depth, so that no mount is hidden by a later one of its parent; otherwise as they came.
        spec["mounts"].sort(key=lambda mount: posixpath.normpath(mount["destination"]).count("/"))
    return [group for group in dict.fromkeys(group for part in edits for group in part.additional_gids) if group]


def _set_environment(process: dict[str, Any], text: str) -> None:
    name = text.partition("=")[0]
    process["env"] = [entry for entry in process["env"] if entry.partition("=")[0] != name] + [text]


def _add_device(linux: dict[str, Any], node: DeviceNode) -> None:
    kind, major, minor = node.type, node.major, node.minor
    if not kind or (not major and kind != "p"):
        kind, major, minor = _of_host(node)
    device: dict[str, Any] = {"path": node.path, "type": kind, "major": major, "minor": minor}
    given = {"fileMode": node.file_mode, "uid": node.uid, "gid": node.gid}
    device |= {name: value for name, value in given.items() if value is not None}
    others = [other for other in linux.get("devices") or () if other["path"] != node.path]
    linux["devices"] = [*others, device]
    if kind in ("b", "c"):
        access = node.permissions or "rwm"
        rule = {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
        linux["resources"].setdefault("devices", []).append(rule)


def _of_host(node: DeviceNode) -> tuple[str, int, int]:
    path = node.host_path or node.path
    try:
        found = os.lstat(path)
    except OSError as error:
        raise EditError(f'failed to stat CDI host device "{path}": {(error.strerror or "").lower()}') from None
    kinds = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}
    kind = kinds.get(stat.S_IFMT(found.st_mode), "")
    if not kind:
        raise EditError(f'failed to stat CDI host device "{path}": not a device node')
    if node.type and node.type != kind:
        raise EditError(f'CDI device ("{node.path}", "{path}"), host type mismatch ({node.type}, {kind})')
    return kind, os.major(found.st_rdev), os.minor(found.st_rdev)


def _add_mount(spec: dict[str, Any], mount: Mount) -> None:
    spec["mounts"] = [other for other in spec["mounts"] if other["destination"] != mount.container_path]
    options = list(mount.options)
    if not mount.type and not {"bind", "rbind"} & set(options):
        options.insert(0, "bind")
    if spec["root"]["readonly"] and "ro" not in options:
        options.append("ro")
    spec["mounts"].append(
        {
            "destination": mount.container_path,
            "type": mount.type or "bind",
            "source": mount.host_path,
            "options": options,
        }
    )


def _hook(hook: Hook) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": hook.path}
    for name in ("args", "env", "timeout"):
        if getattr(hook, name) is not None:
            entry[name] = getattr(hook, name)
    return entry


def _without_defaults(part: IntelRdt) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(part).items() if value}
