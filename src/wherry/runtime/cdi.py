"""The Container Device Interface (CDI 0.3 to 1.0): what device specifications there are, and which device each means.

    registry = read_registry(("/etc/cdi", "/var/run/cdi"))      the last directory is the most important
    edits = registry.edits(["vendor.com/gpu=0"])                what ``cdi_edits`` makes of a container's spec

A specification is a ``.json`` or ``.yaml`` file. One that is broken is left out, and so is a device that two files of
one directory describe; ``registry.errors`` says so by file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from wherry.runtime.cdi_edits import HOOKS, ContainerEdits

_LONGEST_FILE = 8 << 20
_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0")
_EARLIEST = "0.3.0"
_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_DEVICE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")


class CdiError(Exception):
    """A specification or a request that makes no sense; the words are those of Docker's library."""


class Device(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One device of a specification."""

    name: str
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    container_edits: ContainerEdits = ContainerEdits()


class Specification(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One file."""

    cdi_version: str
    kind: str
    """``vendor.com/class``."""
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    devices: list[Device] = msgspec.field(default_factory=list)
    container_edits: ContainerEdits = ContainerEdits()
    """For a container that gets any of the devices."""


@dataclass(frozen=True, slots=True)
class _Found:
    device: Device
    specification: Specification
    path: str
    priority: int


@dataclass(slots=True)
class Registry:
    """Every device that can be asked for."""

    devices: dict[str, _Found] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The devices by their qualified names, in order."""
        return sorted(self.devices)

    def edits(self, names: Sequence[str]) -> list[ContainerEdits]:
        """What these devices need, in order, each file's common part once. Raises CdiError for those not there."""
        missing = [name for name in names if name not in self.devices]
        if missing:
            raise CdiError(f"unresolvable CDI devices {', '.join(missing)}")
        edits: list[ContainerEdits] = []
        begun: set[str] = set()
        for name in names:
            found = self.devices[name]
            if found.path not in begun:
                begun.add(found.path)
                edits.append(found.specification.container_edits)
            edits.append(found.device.container_edits)
        return edits


def read_registry(directories: Sequence[str]) -> Registry:
    """Read every specification. A directory that is missing is no error. Touches the file system."""
    registry = Registry()
    conflicts: set[str] = set()
    for priority, directory in enumerate(directories):
        for path in _files(directory):
            try:
                specification = load(path)
            except CdiError as error:
                registry.errors.setdefault(path, []).append(f"failed to load CDI Spec {error}")
                continue
            for device in specification.devices:
                name = f"{specification.kind}={device.name}"
                other = registry.devices.get(name)
                if other is not None and other.priority == priority:
                    conflicts.add(name)
                    message = f'conflicting device "{name}" (specs "{path}", "{other.path}")'
                    for one in (path, other.path):
                        registry.errors.setdefault(one, []).append(message)
                    continue
                conflicts.discard(name)  # a more important directory decides
                registry.devices[name] = _Found(device, specification, path, priority)
    for name in conflicts:
        del registry.devices[name]
    return registry


def load(path: str) -> Specification:
    """One file, checked. Raises CdiError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise CdiError(f'failed to read CDI Spec "{path}": {(error.strerror or "").lower()}') from None
    if len(data) > _LONGEST_FILE:
        raise CdiError(f'failed to read CDI Spec "{path}": it is longer than {_LONGEST_FILE} bytes')
    try:
        raw = json.loads(data) if path.endswith(".json") else _yaml(data)
        if raw is None:
            raise CdiError(f'failed to parse CDI Spec "{path}", no Spec data')
        specification = msgspec.convert(raw, Specification)
    except (ValueError, RecursionError) as error:
        raise CdiError(f'failed to parse CDI Spec "{path}": failed to unmarshal CDI Spec: {error}') from None
    try:
        _check(specification)
    except CdiError as error:
        raise CdiError(f"invalid CDI Spec: {error}") from None
    return specification


def is_qualified(name: str) -> bool:
    """Whether it is ``vendor.com/class=device``."""
    kind, found, device = name.partition("=")
    vendor, slash, group = kind.partition("/")
    return bool(found and slash and all(map(_NAME.fullmatch, (vendor, group))) and _DEVICE.fullmatch(device))


def _yaml(data: bytes) -> Any:
    """Raises ValueError."""
    import yaml  # noqa: PLC0415  for those who have such a file

    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from None


def _files(directory: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    for name in names:
        path = os.path.join(directory, name)
        if name.endswith((".json", ".yaml")) and not os.path.isdir(path):
            yield path


def _check(specification: Specification) -> None:
    version = specification.cdi_version.removeprefix("v")
    if version not in _VERSIONS:
        raise CdiError(f'invalid version "{specification.cdi_version}"')
    required = _required_version(specification)
    if _VERSIONS.index(required) > _VERSIONS.index(version):
        raise CdiError(f"the spec version must be at least v{required}")
    vendor, _, group = specification.kind.partition("/")
    for what, name in (("vendor", vendor), ("class", group)):
        if not _NAME.fullmatch(name):
            raise CdiError(f"invalid {what}. {_bad_name(name)}")
    _check_edits(specification.container_edits)
    seen: set[str] = set()
    for device in specification.devices:
        _check_device(device)
        if device.name in seen:
            raise CdiError(f'invalid spec, multiple device "{device.name}"')
        seen.add(device.name)
    if not seen:
        raise CdiError("invalid spec, no devices")


def _check_device(device: Device) -> None:
    failed = f'failed add device "{device.name}"'
    if not _DEVICE.fullmatch(device.name):
        raise CdiError(f"{failed}: invalid device name {_bad_name(device.name)}")
    if device.container_edits == ContainerEdits():
        raise CdiError(f"{failed}: invalid device, empty device edits")
    try:
        _check_edits(device.container_edits)
    except CdiError as error:
        raise CdiError(f'{failed}: invalid device "{device.name}": {error}') from None


def _bad_name(name: str) -> str:
    return f'"{name}", should be letters, digits, "_", "-" and "." between letters or digits' if name else "empty name"


def _check_edits(edits: ContainerEdits) -> None:
    for text in edits.env:
        if text.find("=") <= 0:
            raise CdiError(f'invalid container edits: invalid environment variable "{text}"')
    _check_nodes(edits)
    for hook in edits.hooks:
        if hook.hook_name not in HOOKS:
            raise CdiError(f'invalid hook name "{hook.hook_name}"')
        if not hook.path:
            raise CdiError(f'invalid hook "{hook.hook_name}" with empty path')
    for mount in edits.mounts:
        if not mount.host_path or not mount.container_path:
            raise CdiError(f"invalid mount, empty {'container' if mount.host_path else 'host'} path")
    rdt = edits.intel_rdt
    if rdt is not None and (rdt.clos_id in (".", "..") or len(rdt.clos_id) >= 4096 or set("/\n") & set(rdt.clos_id)):
        raise CdiError("invalid ClosID")


def _check_nodes(edits: ContainerEdits) -> None:
    for node in edits.device_nodes:
        if not node.path:
            raise CdiError("invalid (empty) device path")
        if node.type not in ("", "b", "c", "u", "p"):
            raise CdiError(f'device "{node.path}": invalid type "{node.type}"')
        if set(node.permissions) - set("rwm"):
            raise CdiError(f'device "{node.path}": invalid permissions "{node.permissions}"')


def _required_version(specification: Specification) -> str:
    """The first version that has everything that is used (CDI ``SPEC.md``, released versions)."""
    devices = specification.devices
    edits = [specification.container_edits, *(device.container_edits for device in devices)]
    if any(part.intel_rdt is not None or part.additional_gids for part in edits):
        return "0.7.0"
    annotated = bool(specification.annotations) or any(device.annotations for device in devices)
    if annotated or "." in specification.kind.partition("/")[2]:
        return "0.6.0"
    if any(device.name[:1].isdigit() for device in devices):
        return "0.5.0"
    if any(node.host_path for part in edits for node in part.device_nodes):
        return "0.5.0"
    if any(mount.type for part in edits for mount in part.mounts):
        return "0.4.0"
    return _EARLIEST
