"""What every cgroup backend offers, and what the two have in common. Stdlib-light: os, signal, time."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from wherry.linux.cgroups import files
from wherry.linux.cgroups.files import CgroupError, check_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.stats import CgroupStats

KILL_TIMEOUT = 10.0
REMOVE_TIMEOUT = 2.0


class Hierarchy:
    """One mounted cgroup file system."""

    __slots__ = ("controllers", "mountpoint", "unified")

    def __init__(self, mountpoint: str, controllers: tuple[str, ...], *, unified: bool = False) -> None:
        self.mountpoint = mountpoint
        self.controllers = controllers
        """As the kernel names them, ``name=systemd`` for a named v1 tree."""
        self.unified = unified

    @property
    def name(self) -> str:
        """The directory that a container sees below /sys/fs/cgroup: the mount point's own last component."""
        return os.path.basename(self.mountpoint)

    def at(self, path: str) -> str:
        """The directory of the group ``path``."""
        return self.mountpoint.rstrip("/") + path

    def __repr__(self) -> str:
        return f"Hierarchy({self.mountpoint!r}, {self.controllers!r}, unified={self.unified})"


class Cgroups:
    """The machine's control groups. ``path`` is always absolute, from the top: ``/wherry/<id>``."""

    version = 0

    def __init__(self, hierarchies: list[Hierarchy]) -> None:
        self.hierarchies = hierarchies

    @property
    def controllers(self) -> frozenset[str]:
        """Every controller that can limit something here, and named v1 hierarchies as ``name=…``."""
        return frozenset(name for hierarchy in self.hierarchies for name in hierarchy.controllers)

    def create(self, path: str) -> None:
        """Make the group in every hierarchy, its parents too; one that is there already stays. Raises CgroupError.

        When it fails half-way, the directories made so far are removed again.
        """
        check_path(path)
        made: list[str] = []
        try:
            for hierarchy in self.hierarchies:
                made += self._make(hierarchy, path)
        except OSError as error:
            for directory in reversed(made):
                with contextlib.suppress(OSError):  # another start may be using a parent already
                    os.rmdir(directory)
            raise CgroupError(f"unable to create cgroup {path}: {error.strerror}: {error.filename}") from error

    def children(self, path: str) -> list[str]:
        """The groups directly below ``path``, in whichever hierarchy; none if it is gone."""
        check_path(path)
        found: set[str] = set()
        for hierarchy in self.hierarchies:
            with contextlib.suppress(FileNotFoundError), os.scandir(hierarchy.at(path)) as entries:
                found |= {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
        return [f"{path.rstrip('/')}/{name}" for name in sorted(found)]

    def exists(self, path: str) -> bool:
        """Whether the group is there in any hierarchy."""
        return any(os.path.isdir(hierarchy.at(check_path(path))) for hierarchy in self.hierarchies)

    def apply(self, path: str, resources: Mapping[str, Any]) -> None:
        """Set limits from an OCI ``linux.resources`` object; what it does not name stays. Raises CgroupError."""
        raise NotImplementedError

    def attach(self, path: str, pid: int) -> None:
        """Move the process ``pid`` with all its threads into the group. Raises CgroupError."""
        check_path(path)
        for hierarchy in self.hierarchies:
            try:
                files.write(f"{hierarchy.at(path)}/cgroup.procs", str(pid))
            except OSError as error:
                raise CgroupError(f"unable to attach process {pid} to cgroup {path}: {error.strerror}") from error

    def attach_self(self, path: str) -> None:
        """Move the calling process, which must be single-threaded, into the group. Raises CgroupError.

        On v1 this is much cheaper than ``attach``.
        """
        raise NotImplementedError

    def directory(self, path: str, controller: str) -> str:
        """The directory of the group in the hierarchy of ``controller``. Raises CgroupError when nothing offers it."""
        for hierarchy in self.hierarchies:
            if controller in hierarchy.controllers:
                return hierarchy.at(check_path(path))
        raise CgroupError(f"the {controller} cgroup controller is not available on this machine")

    def procs(self, path: str) -> list[int]:
        """The ids of all processes in the group and in those below it, ascending; none if it is gone."""
        check_path(path)
        # Every tree: a privileged container can move a process in one of them and leave it in the others.
        groups = (group for hierarchy in self.hierarchies for group in files.walk(hierarchy.at(path)))
        return sorted({pid for group in groups for pid in files.pids(f"{group}/cgroup.procs")})

    def freeze(self, path: str, *, timeout: float = 5.0) -> None:
        """Stop every process of the group; returns when all stand still. Raises CgroupError."""
        raise NotImplementedError

    def thaw(self, path: str, *, timeout: float = 5.0) -> None:
        """Let a frozen group run again. Raises CgroupError."""
        raise NotImplementedError

    def frozen(self, path: str) -> bool:
        """Whether the group is frozen."""
        raise NotImplementedError

    def kill(self, path: str, *, timeout: float = KILL_TIMEOUT) -> None:
        """SIGKILL everything in the group and below until only zombies are left, which are their parents' business.

        A frozen group is thawed, because v1 delivers a kill only then. Raises CgroupError after ``timeout`` seconds.
        """
        check_path(path)
        deadline = time.monotonic() + timeout
        pause = 0.001
        while remaining := [pid for pid in self.procs(path) if not _is_zombie(pid)]:
            self._kill_once(path)
            if time.monotonic() >= deadline:
                raise CgroupError(f"unable to kill cgroup {path}: still alive: {', '.join(map(str, remaining[:10]))}")
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def remove(self, path: str, *, timeout: float = REMOVE_TIMEOUT) -> None:
        """Remove the group and those below it, not its parents; gone already is no error. Raises CgroupError.

        The kernel calls a group busy for a moment after its last process: tried again for ``timeout`` seconds.
        """
        check_path(path)
        deadline = time.monotonic() + timeout
        failures = []
        for hierarchy in self.hierarchies:
            try:
                files.remove_tree(hierarchy.at(path), deadline)
            except CgroupError as error:
                failures.append(str(error))
        if failures:
            raise CgroupError("; ".join(failures))

    def oom_count(self, path: str) -> int:
        """How many processes of the group the kernel has killed for lack of memory; 0 if it is gone."""
        raise NotImplementedError

    def oom_events(self, path: str) -> int:
        """A descriptor that becomes readable when ``oom_count`` may have changed, and when the group goes.

        The caller reads it, looks at ``oom_count`` and closes it. Raises CgroupError.
        """
        raise NotImplementedError

    def stats(self, path: str) -> CgroupStats:
        """What the group uses. Raises CgroupError when it is gone."""
        raise NotImplementedError

    def _make(self, hierarchy: Hierarchy, path: str) -> list[str]:
        return files.make(hierarchy.at(path))

    def _kill_once(self, path: str) -> None:
        """Kill all that is there now. Standing still, they cannot fork faster than they are killed."""
        with contextlib.suppress(CgroupError):
            self.freeze(path, timeout=0.2)
        for pid in self.procs(path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(CgroupError):
            self.thaw(path)


def _is_zombie(pid: int) -> bool:
    """A zombie stays listed in its group until it is reaped."""
    stat = files.read_or(f"/proc/{pid}/stat")
    return not stat or stat.rpartition(")")[2].split()[:1] in (["Z"], ["X"])
