"""Control groups v1: one tree per controller. Stdlib-light; ``stats`` is imported when it is asked for."""

from __future__ import annotations

import errno
import os
import time

from wherry.linux.cgroups import files
from wherry.linux.cgroups.base import Cgroups, Hierarchy
from wherry.linux.cgroups.files import CgroupError, check_path
from wherry.linux.cgroups.v1_resources import ALTERNATIVES, plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.stats import CgroupStats
    from wherry.linux.cgroups.v1_resources import Write


class CgroupsV1(Cgroups):
    """The v1 trees, and the v2 tree beside them if there is one."""

    version = 1

    def apply(self, path: str, resources: Mapping[str, Any]) -> None:
        """Write what ``v1_resources.plan`` says. Raises CgroupError."""
        for group in plan(resources):
            self._write_group(path, list(group))

    def attach_self(self, path: str) -> None:
        """Write 0 to each ``tasks``.

        For the calling thread alone the kernel skips the lock that waits for a grace period on an idle machine:
        1.4 ms for nine trees, where ``cgroup.procs`` takes 8 to 15.
        """
        check_path(path)
        for hierarchy in self.hierarchies:
            try:
                files.write(f"{hierarchy.at(path)}/tasks", "0")
            except OSError as error:
                raise CgroupError(f"unable to enter cgroup {path}: {error.strerror}") from error

    def freeze(self, path: str, *, timeout: float = 5.0) -> None:
        """Write FROZEN until the kernel reports it: a process caught in a fork can leave the group FREEZING."""
        self._freezer(path, "FROZEN", timeout)

    def thaw(self, path: str, *, timeout: float = 5.0) -> None:
        """Write THAWED."""
        self._freezer(path, "THAWED", timeout)

    def frozen(self, path: str) -> bool:
        """Whether freezer.state is FROZEN or on the way there."""
        if "freezer" not in self.controllers:
            return False
        return files.read_or(f"{self.directory(path, 'freezer')}/freezer.state").strip() in ("FROZEN", "FREEZING")

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
            raise CgroupError(f"unable to watch cgroup {path} for lack of memory: {error.strerror}") from error
        return event

    def stats(self, path: str) -> CgroupStats:
        """Read every controller's counters."""
        from wherry.linux.cgroups.stats_v1 import read_v1  # noqa: PLC0415  the daemon's, not the shim's

        return read_v1(self, check_path(path))

    def _make(self, hierarchy: Hierarchy, path: str) -> list[str]:
        made = files.make(hierarchy.at(path))
        if "cpuset" in hierarchy.controllers:
            for name in ("cpuset.cpus", "cpuset.mems"):
                _fill_cpuset(hierarchy.mountpoint, path, name)
        return made

    def _write_group(self, path: str, pending: list[Write]) -> None:
        """Writes that the kernel may want in either order: one that it refuses goes to the end, once."""
        retried = len(pending) == 1
        while pending:
            controller, name, value = pending[0]
            directory = self.directory(path, controller)
            try:
                _write_file(directory, name, value)
            except OSError as error:
                if retried or error.errno != errno.EINVAL:
                    raise CgroupError(_refusal(directory, name, value, error)) from error
                retried = True
                pending.append(pending[0])
            del pending[0]

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
                    raise CgroupError(f"unable to change the state of cgroup {path} to {state} within {timeout:g} s")
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
        except OSError as error:
            raise CgroupError(f"unable to change the state of cgroup {path} to {state}: {error.strerror}") from error


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


def _write_file(directory: str, name: str, value: str) -> None:
    try:
        files.write(f"{directory}/{name}", value)
    except FileNotFoundError:
        if name not in ALTERNATIVES or not os.path.isdir(directory):
            raise
        files.write(f"{directory}/{ALTERNATIVES[name]}", value)


def _refusal(directory: str, name: str, value: str, error: OSError) -> str:
    if name == "memory.limit_in_bytes" and error.errno == errno.EBUSY:
        usage = files.read_or(f"{directory}/memory.usage_in_bytes").strip()
        peak = files.read_or(f"{directory}/memory.max_usage_in_bytes").strip()
        return f"unable to set memory limit to {value} (current usage: {usage}, peak usage: {peak})"
    if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
        return f"this machine's cgroups do not offer {name}"
    return f'failed to write "{value}" to {directory}/{name}: {error.strerror}'
