"""Control groups v2: one tree. Stdlib-light; ``stats`` and the device filter are imported when they are needed."""

from __future__ import annotations

import os
import time

from wherry.linux.cgroups import files
from wherry.linux.cgroups.base import Cgroups, Hierarchy
from wherry.linux.cgroups.files import CgroupError, check_path
from wherry.linux.cgroups.v2_resources import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.stats import CgroupStats


class CgroupsV2(Cgroups):
    """The unified tree."""

    version = 2

    def __init__(self, tree: Hierarchy) -> None:
        super().__init__([tree])
        self._tree = tree

    def apply(self, path: str, resources: Mapping[str, Any]) -> None:
        """Write what ``v2_resources.plan`` says and attach the device filter. Raises CgroupError."""
        directory = self._tree.at(check_path(path))
        for controller, name, value in plan(resources):
            if controller and controller not in self.controllers:
                raise CgroupError(f"the {controller} cgroup controller is not available on this machine")
            try:
                files.write(f"{directory}/{name}", value)
            except FileNotFoundError:
                raise CgroupError(f"this machine's cgroups do not offer {name}") from None
            except OSError as error:
                raise CgroupError(f'failed to write "{value}" to {directory}/{name}: {error.strerror}') from error
        if resources.get("devices"):
            from wherry.linux.cgroups.devices import attach_filter  # noqa: PLC0415  needs ctypes

            attach_filter(directory, resources["devices"])

    def attach_self(self, path: str) -> None:
        """Write 0 to cgroup.procs."""
        self.attach(path, 0)

    def freeze(self, path: str, *, timeout: float = 5.0) -> None:
        """Set cgroup.freeze and wait for cgroup.events to say so."""
        self._freezer(path, "1", timeout)

    def thaw(self, path: str, *, timeout: float = 5.0) -> None:
        """Clear cgroup.freeze."""
        self._freezer(path, "0", timeout)

    def frozen(self, path: str) -> bool:
        """Whether cgroup.freeze is set."""
        return files.read_or(f"{self._tree.at(check_path(path))}/cgroup.freeze").strip() == "1"

    def oom_count(self, path: str) -> int:
        """``oom_kill`` of memory.events: it counts the group's descendants too."""
        return int(self._field(path, "memory.events", "oom_kill") or 0)

    def oom_events(self, path: str) -> int:
        """An inotify descriptor on memory.events."""
        from wherry.linux.cgroups.inotify import watch_modified  # noqa: PLC0415  needs ctypes

        return watch_modified(f"{self._tree.at(check_path(path))}/memory.events")

    def stats(self, path: str) -> CgroupStats:
        """Read every controller's counters."""
        from wherry.linux.cgroups.stats_v2 import read_v2  # noqa: PLC0415  the daemon's, not the shim's

        return read_v2(self, check_path(path))

    def _make(self, hierarchy: Hierarchy, path: str) -> list[str]:
        """Enable the controllers on the way: a group has only those that its parent's subtree_control names."""
        made: list[str] = []
        parent = hierarchy.mountpoint
        for name in path[1:].split("/"):
            _enable(parent, hierarchy.controllers)
            parent = f"{parent}/{name}"
            made += files.make(parent)
        return made

    def _kill_once(self, path: str) -> None:
        """``cgroup.kill`` (Linux 5.14) is atomic, frozen or not; before it, one by one."""
        try:
            files.write(f"{self._tree.at(path)}/cgroup.kill", "1")
        except FileNotFoundError:
            super()._kill_once(path)

    def _freezer(self, path: str, state: str, timeout: float) -> None:
        directory = self._tree.at(check_path(path))
        deadline = time.monotonic() + timeout
        try:
            files.write(f"{directory}/cgroup.freeze", state)
        except OSError as error:
            raise CgroupError(f"unable to change the state of cgroup {path}: {error.strerror}") from error
        while os.path.isdir(directory) and self._field(path, "cgroup.events", "frozen") not in ("", state):
            if time.monotonic() >= deadline:
                if state == "1":  # a group left half frozen would look dead
                    files.write(f"{directory}/cgroup.freeze", "0")
                raise CgroupError(f"unable to change the state of cgroup {path} within {timeout:g} s")
            time.sleep(0.001)

    def _field(self, path: str, file: str, key: str) -> str:
        for line in files.read_or(f"{self._tree.at(check_path(path))}/{file}").splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return value
        return ""


def _enable(directory: str, controllers: tuple[str, ...]) -> None:
    """Enable what is not enabled yet, one by one: one that refuses must not keep the others off."""
    present = files.read_or(f"{directory}/cgroup.subtree_control").split()
    for name in controllers:
        if name not in present:
            try:
                files.write(f"{directory}/cgroup.subtree_control", f"+{name}")
            except OSError:
                # A limit that needs it says so later (``apply``); the others work without.
                continue
