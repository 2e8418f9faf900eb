"""The systemd cgroup driver: a container's group is a scope that systemd makes and ends.

systemd owns the tree; what makes groups behind its back may find them moved or emptied. So a start is
StartTransientUnit with the container's process, limits are SetUnitProperties and then the control files, an end is
StopUnit: org.freedesktop.systemd1(5). An ordinary user has an instance of their own, in a subtree that they own.
"""

from __future__ import annotations

import contextlib
import os

from wherry.linux.cgroups import files, paths, systemd_annotations, systemd_properties
from wherry.linux.cgroups.base import Cgroups, Hierarchy
from wherry.linux.cgroups.dbus import Bus, BusError, runtime_directory, user_bus
from wherry.linux.cgroups.files import CgroupError
from wherry.linux.cgroups.v1 import CgroupsV1
from wherry.linux.cgroups.v2 import CgroupsV2
from wherry.linux.cgroups.v2_resources import complete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from wherry.linux.cgroups.systemd_properties import Property

_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = f"{_NAME}.Manager"
_SYSTEM_BUS = "/run/dbus/system_bus_socket"
_PRIVATE = "/run/systemd/private"
_RUNNING = "/run/systemd/system"


def open_v1(hierarchies: list[Hierarchy], *, rootless: bool) -> Cgroups:
    """The v1 trees as systemd's. Raises CgroupError."""
    _check_running()
    if rootless:
        raise CgroupError("cannot use rootless systemd cgroups manager on cgroup v1")
    return SystemdV1(hierarchies)


def open_v2(tree: Hierarchy, *, rootless: bool) -> Cgroups:
    """The v2 tree as systemd's. Raises CgroupError."""
    _check_running()
    return SystemdV2(tree, rootless=rootless)


class _Units(Cgroups):
    """What the driver does in place of making and removing directories; a path's last part is a unit."""

    def create(self, path: str, pid: int | None = None, annotations: Mapping[str, str] | None = None) -> None:
        """Start the unit with the process ``pid``; one that is there already stays. Raises CgroupError."""
        paths.check_path(path)
        unit, parent = paths.unit_of(path)
        properties = systemd_properties.unit_properties(unit, parent, pid, version=self.version)
        properties += systemd_annotations.properties(annotations or {})
        with self._manager() as manager:
            try:
                manager.start(unit, properties)
            except BusError as error:
                if not error.name.endswith("UnitExists"):
                    raise CgroupError(f'unable to start unit "{unit}" (properties {properties}): {error}') from error
        try:
            super().create(path, pid)
        except CgroupError:
            with contextlib.suppress(CgroupError):
                self.remove(path)
            raise

    def remove(self, path: str, *, timeout: float = 2.0) -> None:
        """Stop the unit, then remove what it leaves. Raises CgroupError."""
        paths.check_path(path)
        try:
            with self._manager() as manager:
                manager.stop(paths.unit_of(path)[0])
        finally:
            super().remove(path, timeout=timeout)

    def attach(self, path: str, pid: int) -> None:
        """Move a process; where we may not (rootless, from another part of the tree) systemd does."""
        try:
            super().attach(path, pid)
        except CgroupError as error:
            if not isinstance(error.__cause__, PermissionError) or not pid:
                raise
            with self._manager() as manager:
                manager.call("AttachProcessesToUnit", "ssau", paths.unit_of(path)[0], "", [pid])

    def _resolve(self, cgroups_path: str, container_id: str) -> str:
        return paths.resolve_unit(cgroups_path, container_id, base=self._base(), rootless=self.rootless)

    def may_make(self, path: str) -> bool:  # noqa: ARG002
        return True

    def _base(self) -> str:
        """Where the top slices are: of the machine's systemd at the top, of a user's in a group of its own."""
        with self._manager() as manager:
            group = str(manager.get("ControlGroup"))
        # Process 1 of systemd lives beside them.
        return (group.removesuffix("/init.scope") or "/") if group else "/"

    def _manager(self) -> _Manager:
        return _Manager(rootless=self.rootless)

    def _tell(self, path: str, properties: list[Property]) -> None:
        if properties:
            with self._manager() as manager:
                try:
                    manager.call("SetUnitProperties", "sba(sv)", paths.unit_of(path)[0], True, properties)
                except BusError as error:
                    raise files.LimitError(f"unable to set unit properties: {error}") from error

    def _version(self) -> int:
        with self._manager() as manager:
            return _number(str(manager.get("Version")))


class SystemdV1(_Units, CgroupsV1):
    """systemd's own tree and, with the same paths, those of the controllers."""

    def apply(self, path: str, resources: Mapping[str, Any]) -> None:
        """Tell systemd, then write the files: its devices first, for which it denies everything for a moment."""
        properties = systemd_properties.properties_v1(resources, self._version())
        thaw = False
        if resources.get("devices"):
            properties += _devices(resources)
            thaw = bool(self.procs(path)) and not self.frozen(path)
        if thaw:
            self.freeze(path)
        try:
            self._tell(path, properties)
            super().apply(path, resources)
        finally:
            if thaw:
                self.thaw(path)


class SystemdV2(_Units, CgroupsV2):
    """The unified tree."""

    def apply(self, path: str, resources: Mapping[str, Any]) -> None:
        """Tell systemd, then write the files."""
        directory = self.directory_of(path)
        values = {name: files.read_or(f"{directory}/{name}").strip() for name in ("memory.max", "cpu.max")}
        whole = complete(resources, memory_max=values["memory.max"], cpu_max=values["cpu.max"])
        properties = systemd_properties.properties_v2(whole, self._version())
        if resources.get("devices") and not self.rootless:
            properties += _devices(resources)
        self._tell(path, properties)
        super().apply(path, resources)


class _Manager:
    """systemd at the other end of a bus."""

    def __init__(self, *, rootless: bool) -> None:
        bus, private = (user_bus(), f"{runtime_directory()}/systemd/private") if rootless else (_SYSTEM_BUS, _PRIVATE)
        # Where no bus is installed, systemd listens by itself.
        direct = not os.path.exists(bus) and os.path.exists(private)
        try:
            self._bus = Bus(private if direct else bus, direct=direct)
        except CgroupError as error:
            hint = " (hint: for rootless containers, maybe you need to install dbus-user-session package)"
            raise CgroupError(f"{error}{hint if rootless else ''}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bus.__exit__()

    def call(self, member: str, signature: str = "", *values: Any) -> list[Any]:
        return self._bus.call(_NAME, _PATH, _MANAGER, member, signature, *values)

    def get(self, name: str) -> Any:
        """A property of the manager's."""
        interface = "org.freedesktop.DBus.Properties"
        return self._bus.call(_NAME, _PATH, interface, "Get", "ss", _MANAGER, name)[0][1]

    def start(self, unit: str, properties: list[Property]) -> None:
        self._subscribe()
        (job,) = self.call("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", properties, [])
        result = self._wait(job)
        if result != "done":
            self._forget(unit)
            raise CgroupError(f"error creating systemd unit `{unit}`: got `{result}`")

    def stop(self, unit: str) -> None:
        self._subscribe()
        try:
            (job,) = self.call("StopUnit", "ss", unit, "replace")
        except BusError as error:
            if error.name.endswith("NoSuchUnit"):
                return
            raise
        self._wait(job)
        self._forget(unit)

    def _subscribe(self) -> None:
        self._bus.subscribe(_MANAGER, "JobRemoved")
        self.call("Subscribe")

    def _wait(self, job: str) -> str:
        return str(self._bus.wait_for("JobRemoved", lambda body: len(body) == 4 and body[1] == job)[3])

    def _forget(self, unit: str) -> None:
        """A unit that has failed keeps its name otherwise."""
        with contextlib.suppress(BusError):
            self.call("ResetFailedUnit", "s", unit)


def _devices(resources: Mapping[str, Any]) -> list[Property]:
    groups = systemd_properties.devices_groups(files.read_or("/proc/devices"))
    return systemd_properties.device_properties(resources["devices"], groups, os.path.exists)


def _check_running() -> None:
    """What sd_booted(3) asks."""
    if not os.path.isdir(_RUNNING) or os.path.islink(_RUNNING):
        raise CgroupError("systemd not running on this host, cannot use systemd cgroups manager")


def _number(version: str) -> int:
    """``v252.4-1`` is 252."""
    digits = version.removeprefix("v")
    end = next((place for place, char in enumerate(digits) if not char.isdigit()), len(digits))
    return int(digits[:end] or 0)
