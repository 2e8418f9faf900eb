"""Control groups v1: one tree per controller. Stdlib-light; ``stats`` is imported when it is asked for."""

from __future__ import annotations

import errno
import os
import time

from wherry.linux.cgroups import files, paths
from wherry.linux.cgroups.base import Cgroups, Hierarchy
from wherry.linux.cgroups.device_rules import merge, parse, transition
from wherry.linux.cgroups.files import CgroupError, LimitError, refusal
from wherry.linux.cgroups.paths import check_path, first_line
from wherry.linux.cgroups.v1_resources import ALTERNATIVES, entry_plan, plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.stats import CgroupStats
    from wherry.linux.cgroups.v1_resources import Group

_NO_UNIFIED = "cannot use unified on cgroup v1"


class CgroupsV1(Cgroups):
    """The v1 trees."""

    version = 1
    entry = "tasks"
    """For the calling thread alone the kernel skips the lock that waits for a grace period on an idle machine: 1.4 ms
    for nine trees, where ``cgroup.procs`` takes 8 to 15."""

    def validate(self, resources: Mapping[str, Any]) -> None:
        """Refuse raw v2 settings too."""
        if resources.get("unified"):
            raise CgroupError(f"invalid configuration: {_NO_UNIFIED}")
        super().validate(resources)

    def apply(self, path: str, resources: Mapping[str, Any]) -> None:
        """Write what ``v1_resources`` says, and the device rules. Raises CgroupError."""
        if resources.get("unified"):
            raise CgroupError(_NO_UNIFIED)
        for group in entry_plan(resources):
            self._write_group(path, group, CgroupError)
        if resources.get("devices"):
            self._set_devices(path, resources["devices"])
        for group in plan(resources):
            self._write_group(path, group, LimitError)

    def delegate(self, path: str, uid: int) -> None:
        """Nothing: what owns a v1 group could lift its limits."""

    def freeze(self, path: str, *, timeout: float = 5.0) -> None:
        """Write FROZEN until the kernel reports it: a process caught in a fork can leave the group FREEZING."""
        self._freezer(path, "FROZEN", timeout)

    def thaw(self, path: str, *, timeout: float = 5.0) -> None:
        """Write THAWED."""
        self._freezer(path, "THAWED", timeout)

    def frozen(self, path: str) -> bool:
        """Whether freezer.state is FROZEN or on the way there, by the group's own will."""
        if "freezer" not in self.controllers:
            return False
        directory = self.directory(path, "freezer")
        if files.read_or(f"{directory}/freezer.state").strip() not in ("FROZEN", "FREEZING"):
            return False
        return files.read_or(f"{directory}/freezer.self_freezing", "1").strip() == "1"

    def oom_count(self, path: str) -> int:
        """``oom_kill`` of memory.oom_control (Linux 4.13)."""
        if "memory" not in self.controllers:
            return 0
        for line in files.read_or(f"{self.directory(path, 'memory')}/memory.oom_control").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
        return 0

    def oom_events(self, path: str) -> int:
        """An eventfd registered with memory.oom_control."""
        directory = self.directory(path, "memory")
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                files.write(f"{directory}/cgroup.event_control", f"{event} {control}")
            finally:
                os.close(control)
        except OSError as error:
            os.close(event)
            where = first_line(path)
            raise CgroupError(f"unable to watch cgroup {where} for lack of memory: {error.strerror}") from error
        return event

    def stats(self, path: str) -> CgroupStats:
        """Read every controller's counters."""
        from wherry.linux.cgroups.stats_v1 import read_v1  # noqa: PLC0415  the daemon's, not the shim's

        return read_v1(self, check_path(path))

    def _make(self, hierarchy: Hierarchy, path: str) -> list[str]:
        made = files.make(hierarchy.at(path))
        if "cpuset" in hierarchy.controllers:
            for name in ("cpuset.cpus", "cpuset.mems"):
                _fill_cpuset(hierarchy.mountpoint, paths.line_for(path, hierarchy.controllers), name)
        return made

    def _set_devices(self, path: str, rules: list[dict[str, Any]]) -> None:
        """Write what changes. Nothing is let through for an instant that neither the old nor the new rules allow."""
        if self.rootless:
            return  # it takes the machine's root, and an ordinary user makes no device nodes anyway
        if "devices" not in self.controllers:
            # What keeps a container from the host's disks is not done without.
            raise CgroupError("cgroup: subsystem does not exist")
        directory = self.directory(path, "devices")
        target = merge(rules)
        try:
            for name, value in transition(parse(files.read(f"{directory}/devices.list")), target):
                _write_file(directory, name, value, LimitError)
            result = parse(files.read(f"{directory}/devices.list"))
        except OSError as error:
            raise LimitError(refusal(f"{directory}/devices.list", "", error)) from error
        if result.allow is not target.allow:
            raise LimitError("resulting devices cgroup doesn't match target mode")
        if not target.allow and result.exceptions != target.exceptions:
            raise LimitError("resulting devices cgroup doesn't precisely match target")

    def _write_group(self, path: str, group: Group, kind: type[CgroupError]) -> None:
        """Writes that the kernel may want in another order: what it refuses at first is tried again at the end."""
        refused = []
        for controller, name, value in group:
            directory = self.directory(path, controller)
            try:
                _write_file(directory, name, value, kind)
            except CgroupError as error:
                if not _is_invalid(error) or len(group) == 1 or name.startswith("cpu.rt_"):
                    if name == "cpu.rt_runtime_us" and _is_invalid(error):
                        self._grant_realtime(directory, dict(write[1:] for write in group), error)
                        continue
                    raise
                refused.append((directory, name, value))
        for directory, name, value in refused:
            _write_file(directory, name, value, kind)

    def _grant_realtime(self, directory: str, values: dict[str, str], refused: CgroupError) -> None:
        from wherry.linux.cgroups.v1_realtime import grant  # noqa: PLC0415  a rare wish

        mountpoint = next(tree.mountpoint for tree in self.hierarchies if "cpu" in tree.controllers)
        period = values.get("cpu.rt_period_us") or files.read_or(f"{directory}/cpu.rt_period_us", "1000000")
        runtime = values["cpu.rt_runtime_us"]
        if int(runtime) > int(period):
            raise refused
        try:
            grant(mountpoint, directory, int(runtime), int(period))
        except OSError:
            raise refused from None
        _write_file(directory, "cpu.rt_runtime_us", runtime, CgroupError)

    def _freezer(self, path: str, state: str, timeout: float) -> None:
        file = f"{self.directory(path, 'freezer')}/freezer.state"
        deadline = time.monotonic() + timeout
        pause = 0.0005
        try:
            while True:
                files.write(file, state)
                if files.read(file).strip() == state:
                    return
                if time.monotonic() >= deadline:
                    # A group left half frozen would look dead: undo it.
                    files.write(file, "THAWED")
                    where = first_line(path)
                    raise CgroupError(f"unable to change the state of cgroup {where} to {state} within {timeout:g} s")
                if pause > 0.02 and state == "FROZEN":
                    files.write(file, "THAWED")  # lets a process get out of where it cannot be stopped
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
        except OSError as error:
            raise CgroupError(refusal(file, state, error)) from error


def _fill_cpuset(mountpoint: str, path: str, name: str) -> str:
    """Have the group inherit ``name`` if it is empty; its value.

    A new v1 cpuset is empty and takes no process (ENOSPC) until it has CPUs and memory nodes, and has no more of them
    than its parent. Whoever finds an ancestor empty fills it: the one that has made it may not have got that far.
    """
    file = f"{mountpoint.rstrip('/')}{path}/{name}"
    value = files.read(file).strip()
    if not value and path:
        value = _fill_cpuset(mountpoint, path.rpartition("/")[0], name)
        files.write(file, value)
    return value


def _write_file(directory: str, name: str, value: str, kind: type[CgroupError]) -> None:
    """Write one control; ``kind`` is the error that a refusal becomes."""
    optional = name.startswith("?")
    name = name.removeprefix("?")
    if name in ALTERNATIVES and not os.path.exists(f"{directory}/{name}"):
        name = ALTERNATIVES[name]
    try:
        files.write(f"{directory}/{name}", value)
    except OSError as error:
        if optional and error.errno == errno.ENOENT and os.path.isdir(directory):
            return
        raise kind(_refusal(directory, name, value, error)) from error
    if name == "cpu.shares":
        _check_shares(directory, int(value))


def _check_shares(directory: str, asked: int) -> None:
    """The kernel takes any number, and rounds it into its range without a word."""
    got = int(files.read_or(f"{directory}/cpu.shares", str(asked)))
    if asked != got:
        raise LimitError(f"the {'maximum' if asked > got else 'minimum'} allowed cpu-shares is {got}")


def _is_invalid(error: CgroupError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EINVAL


def _refusal(directory: str, name: str, value: str, error: OSError) -> str:
    if name == "memory.limit_in_bytes" and error.errno == errno.EBUSY:
        usage = files.read_or(f"{directory}/memory.usage_in_bytes").strip()
        peak = files.read_or(f"{directory}/memory.max_usage_in_bytes").strip()
        return f"unable to set memory limit to {value} (current usage: {usage}, peak usage: {peak})"
    return refusal(f"{directory}/{name}", value, error)
