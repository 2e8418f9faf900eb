"""Control groups v2: one tree. Stdlib-light; ``stats`` and the device filter are imported when they are needed."""

from __future__ import annotations

import contextlib
import errno
import os
import time

from wherry.linux.cgroups import files
from wherry.linux.cgroups.base import Cgroups, Hierarchy
from wherry.linux.cgroups.device_rules import merge
from wherry.linux.cgroups.files import CgroupError, LimitError, refusal
from wherry.linux.cgroups.paths import check_path, first_line
from wherry.linux.cgroups.v2_resources import check_usage, complete, plan, unified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.stats import CgroupStats

# Those that can tell the threads of a process apart: all that a threaded group can have.
_THREADED = frozenset({"cpu", "cpuset", "perf_event", "pids", "cgroup"})
_DELEGATED = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")


class CgroupsV2(Cgroups):
    """The unified tree."""

    version = 2

    def __init__(self, tree: Hierarchy, *, rootless: bool = False) -> None:
        super().__init__([tree], rootless=rootless)
        self._tree = tree

    def apply(self, path: str, resources: Mapping[str, Any]) -> None:
        """Write what ``v2_resources`` says and attach the device filter. Raises CgroupError."""
        directory = self._tree.at(check_path(path))
        memory_max, cpu_max, usage = (
            files.read_or(f"{directory}/{name}").strip() for name in ("memory.max", "cpu.max", "memory.current")
        )
        resources = complete(resources, memory_max=memory_max, cpu_max=cpu_max)
        check_usage(resources["memory"], int(usage or 0))
        bfq = os.path.exists(f"{directory}/io.bfq.weight")
        for controller, name, value in plan(resources, bfq=bfq):
            self._write(directory, controller, name, value)
        if resources.get("devices"):
            self._set_devices(directory, resources["devices"])
        for controller, name, value in unified(resources.get("unified") or {}):
            self._write_raw(directory, controller, name, value)

    def directory_of(self, path: str) -> str:
        """The group's directory."""
        return self._tree.at(check_path(path))

    def delegate(self, path: str, uid: int) -> None:
        """Chown the group's directory and the files that the kernel says may be a container's own."""
        directory = self._tree.at(check_path(path))
        names = files.read_or("/sys/kernel/cgroup/delegate").split() or _DELEGATED
        try:
            os.chown(directory, uid, -1)
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.chown(f"{directory}/{name}", uid, -1)
        except OSError as error:
            raise CgroupError(f"chown {error.filename}: {(error.strerror or '').lower()}") from error

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

    def _beside(self, own: str) -> str:
        """Our own group has a process, us: no group below it could have a controller."""
        return os.path.dirname(own)

    def _make(self, hierarchy: Hierarchy, path: str) -> list[str]:
        """Enable the controllers on the way: a group has only those that its parent's subtree_control names."""
        made: list[str] = []
        parent = hierarchy.mountpoint
        for name in path[1:].split("/"):
            _enable(parent, hierarchy.controllers)
            parent = f"{parent}/{name}"
            made += files.make(parent)
            if files.read_or(f"{parent}/cgroup.type").strip() == "domain invalid":
                # A group above has processes of its own, or is threaded: as its thread-wise part it can be used.
                files.write(f"{parent}/cgroup.type", "threaded")
        return made

    def _write(self, directory: str, controller: str, name: str, value: str) -> None:
        optional = name.startswith("?")
        name = name.removeprefix("?")
        try:
            files.write(f"{directory}/{name}", value)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise LimitError(refusal(f"{directory}/{name}", value, error)) from error
            if optional and os.path.isdir(directory):
                return
            self._check_threaded(directory, controller)
            text = refusal(f"{directory}/{name}", value, error)
            raise LimitError(f"{text}{self._why_missing(directory, controller)}") from error

    def _write_raw(self, directory: str, controller: str, name: str, value: str) -> None:
        try:
            files.write(f"{directory}/{name}", value)
        except OSError as error:
            reason = f'unified resource "{name}" can\'t be set: controller "{controller}" not available'
            has = files.read_or(f"{directory}/cgroup.controllers").split()
            if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM) and controller not in (*has, "cgroup"):
                self._check_threaded(directory, controller)
                raise LimitError(f"{reason}{self._why_missing(directory, controller)}") from error
            text = refusal(f"{directory}/{name}", value, error)
            raise LimitError(f'unable to set unified resource "{name}": {text}') from error

    def _check_threaded(self, directory: str, controller: str) -> None:
        kind = files.read_or(f"{directory}/cgroup.type").strip()
        if "threaded" in kind and controller not in _THREADED:
            refused = f'cannot enter cgroupv2 "{directory}" with domain controllers -- it is in {kind} mode'
            raise CgroupError(f"{refused}{self._why_missing(directory, controller)}")

    def _why_missing(self, directory: str, controller: str) -> str:
        """Why the group does not have a controller: something that its user can see to."""
        if controller not in self.controllers:
            return f" (this machine has no {controller} controller)"
        parent = os.path.dirname(directory)
        while len(parent) >= len(self._tree.mountpoint):
            if controller in files.read_or(f"{parent}/cgroup.controllers").split():
                why = "it has processes of its own" if files.pids(parent) else "it has not been delegated"
                return f" (the {controller} controller is not enabled in {parent}: {why})"
            parent = os.path.dirname(parent)
        return ""

    def _set_devices(self, directory: str, rules: list[dict[str, Any]]) -> None:
        from wherry.linux.cgroups.devices import attach_filter  # noqa: PLC0415  needs ctypes

        merged = merge(rules)
        try:
            attach_filter(directory, merged)
        except CgroupError as error:
            # An ordinary user may load no program, and makes no device nodes anyway.
            if not self.rootless and not merged.allows_all:
                raise LimitError(str(error)) from error

    def _kill_once(self, path: str) -> None:
        """``cgroup.kill`` (Linux 5.14) is atomic, frozen or not; before it, one by one."""
        try:
            files.write(f"{self._tree.at(path)}/cgroup.kill", "1")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
                raise CgroupError(refusal(f"{self._tree.at(path)}/cgroup.kill", "1", error)) from error
            super()._kill_once(path)

    def _freezer(self, path: str, state: str, timeout: float) -> None:
        directory = self._tree.at(check_path(path))
        deadline = time.monotonic() + timeout
        try:
            files.write(f"{directory}/cgroup.freeze", state)
        except OSError as error:
            raise CgroupError(refusal(f"{directory}/cgroup.freeze", state, error)) from error
        # A group below one that is frozen stays frozen when it is thawed.
        while state == "1" and os.path.isdir(directory) and self._field(path, "cgroup.events", "frozen") == "0":
            if time.monotonic() >= deadline:
                # A group left half frozen would look dead.
                files.write(f"{directory}/cgroup.freeze", "0")
                where = first_line(path)
                raise CgroupError(f"unable to change the state of cgroup {where} within {timeout:g} s")
            time.sleep(0.001)

    def _field(self, path: str, file: str, key: str) -> str:
        for line in files.read_or(f"{self._tree.at(check_path(path))}/{file}").splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return value
        return ""


def _enable(directory: str, controllers: tuple[str, ...]) -> None:
    """Enable what is not enabled yet: all at once, or one by one so that one that refuses does not keep others off."""
    present = files.read_or(f"{directory}/cgroup.subtree_control").split()
    missing = [f"+{name}" for name in controllers if name not in present]
    for value in (" ".join(missing), *missing) if missing else ():
        try:
            files.write(f"{directory}/cgroup.subtree_control", value)
        except OSError:
            # A limit that needs it says so later (``apply``); the others work without.
            continue
        if value == " ".join(missing):
            return
