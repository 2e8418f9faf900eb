"""What every cgroup backend offers, and what they have in common. Stdlib-light: abc, os, time."""

from __future__ import annotations

import abc
import contextlib
import errno
import os
import time

from wherry.linux import signals
from wherry.linux.cgroups import device_rules, files, paths
from wherry.linux.cgroups.files import CgroupError, LimitError, refusal
from wherry.linux.cgroups.paths import check_path, first_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.stats import CgroupStats

KILL_TIMEOUT = 10.0
REMOVE_TIMEOUT = 2.0
_ENTER_TRIES = 5
_ENTER_PAUSE = 0.03


class Hierarchy:
    """One mounted cgroup file system."""

    __slots__ = ("controllers", "mountpoint", "root", "unified")

    def __init__(
        self, mountpoint: str, controllers: tuple[str, ...], *, unified: bool = False, root: str = "/"
    ) -> None:
        self.mountpoint = mountpoint
        self.controllers = controllers
        """As the kernel names them, ``name=systemd`` for a named v1 tree."""
        self.unified = unified
        self.root = root
        """Which of its groups is mounted: not the top in a container without a cgroup namespace."""

    @property
    def name(self) -> str:
        """The directory that a container sees below /sys/fs/cgroup: the mount point's own last component."""
        return os.path.basename(self.mountpoint)

    def at(self, path: str) -> str:
        """The directory of the group ``path``."""
        return self.mountpoint.rstrip("/") + (paths.line_for(path, self.controllers) if "\n" in path else path)

    def __repr__(self) -> str:
        return f"Hierarchy({self.mountpoint!r}, {self.controllers!r}, unified={self.unified})"


class Cgroups(abc.ABC):
    """The machine's control groups. ``path`` counts from the top: ``/wherry/<id>``, or what ``resolve`` returns."""

    version = 0
    entry = "cgroup.procs"
    """The file that a process writes to in order to enter."""

    def __init__(self, hierarchies: list[Hierarchy], *, rootless: bool = False) -> None:
        self.hierarchies = hierarchies
        self.rootless = rootless
        """Whether we are not the machine's root: what has not been delegated to us is done without."""

    @property
    def controllers(self) -> frozenset[str]:
        """Every controller that can limit something here, and named v1 hierarchies as ``name=…``."""
        return frozenset(name for hierarchy in self.hierarchies for name in hierarchy.controllers)

    def validate(self, resources: Mapping[str, Any]) -> None:
        """Refuse what a configuration must not say, before anything is made. Raises CgroupError in runc's words."""
        device_rules.read(resources.get("devices") or ())

    def resolve(self, cgroups_path: str, container_id: str, resources: Mapping[str, Any] | None = None) -> str:
        """``linux.cgroupsPath`` as a path for all the other methods; see ``paths``. Raises CgroupError.

        Empty where no path is asked for and we may not make a group of our own (rootless): then the container stays
        in ours. That is an error if ``resources`` ask for a limit.
        """
        path = self._resolve(cgroups_path, container_id)
        if self.rootless and not cgroups_path and not self.may_make(path):
            if limit := wanted_limit(resources or {}):
                raise LimitError(f"cannot set {limit} limit: container could not join or create cgroup")
            return ""
        return path

    def create(
        self,
        path: str,
        pid: int | None = None,  # noqa: ARG002  systemd's
        annotations: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> None:
        """Make the group in every hierarchy, its parents too; one that is there already stays. Raises CgroupError.

        When it fails half-way, the directories made so far are removed again. systemd needs the process that will
        live there, and heeds ``annotations`` (``org.systemd.property.…``) of the container; the others do not.
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
            reason = (error.strerror or str(error)).lower()
            raise CgroupError(f"mkdir {error.filename}: {reason}") from error

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

    @abc.abstractmethod
    def apply(self, path: str, resources: Mapping[str, Any]) -> None:
        """Set limits from an OCI ``linux.resources`` object; what it does not name stays. Raises CgroupError.

        Serves a start and an update alike: limits that depend on each other are written in an order that works.
        """

    def update(self, path: str, resources: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        """As ``apply``; when one of the limits is refused, those of ``before`` are put back. Raises CgroupError."""
        try:
            self.apply(path, resources)
        except CgroupError:
            # Its error would hide the one that the caller has to hear.
            with contextlib.suppress(CgroupError):
                self.apply(path, {key: before[key] for key in resources if key in before})
            raise

    def attach(self, path: str, pid: int) -> None:
        """Move the process ``pid`` with all its threads into the group. Raises CgroupError."""
        check_path(path)
        for hierarchy in self.hierarchies:
            try:
                _enter(f"{hierarchy.at(path)}/cgroup.procs", pid)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                file = f"{hierarchy.at(path)}/cgroup.procs"
                raise CgroupError(f"failed to write {pid}: write {file}: {reason}") from error

    def open_entries(self, path: str) -> list[tuple[int, str]]:
        """What ``enter`` takes: descriptors that lead into the group from wherever they are used, and their names.

        To enter by oneself is on v1 much cheaper than to be moved by ``attach``. Raises CgroupError.
        """
        check_path(path)
        entries: list[tuple[int, str]] = []
        for hierarchy in self.hierarchies:
            file = f"{hierarchy.at(path)}/{self.entry}"
            try:
                entries.append((os.open(file, os.O_WRONLY | os.O_CLOEXEC), file))
            except OSError as error:
                raise CgroupError(refusal(file, "0", error)) from error
        return entries

    @abc.abstractmethod
    def delegate(self, path: str, uid: int) -> None:
        """Give the group to the root (``uid``) of a container's user namespace, where v2 can. Raises CgroupError."""

    def directory(self, path: str, controller: str) -> str:
        """The directory of the group in the hierarchy of ``controller``. Raises CgroupError when nothing offers it."""
        for hierarchy in self.hierarchies:
            if controller in hierarchy.controllers:
                return hierarchy.at(check_path(path))
        raise LimitError(f"cannot set {controller} limit: container could not join or create cgroup")

    def procs(self, path: str) -> list[int]:
        """The ids of all processes in the group and in those below it, ascending; none if it is gone."""
        check_path(path)
        # Every tree: a privileged container can move a process in one of them and leave it in the others.
        groups = (group for hierarchy in self.hierarchies for group in files.walk(hierarchy.at(path)))
        return sorted({pid for group in groups for pid in files.pids(group)})

    @abc.abstractmethod
    def freeze(self, path: str, *, timeout: float = 5.0) -> None:
        """Stop every process of the group; returns when all stand still. Raises CgroupError."""

    @abc.abstractmethod
    def thaw(self, path: str, *, timeout: float = 5.0) -> None:
        """Let a frozen group run again. Raises CgroupError."""

    @abc.abstractmethod
    def frozen(self, path: str) -> bool:
        """Whether the group itself is frozen, not only because one above it is."""

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
                alive = ", ".join(map(str, remaining[:10]))
                raise CgroupError(f"unable to kill cgroup {first_line(path)}: still alive: {alive}")
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

    @abc.abstractmethod
    def oom_count(self, path: str) -> int:
        """How many processes of the group the kernel has killed for lack of memory; 0 if it is gone."""

    @abc.abstractmethod
    def oom_events(self, path: str) -> int:
        """A descriptor that becomes readable when ``oom_count`` may have changed, and when the group goes.

        The caller reads it, looks at ``oom_count`` and closes it. Raises CgroupError.
        """

    @abc.abstractmethod
    def stats(self, path: str) -> CgroupStats:
        """What the group uses. Raises CgroupError when it is gone."""

    def _resolve(self, cgroups_path: str, container_id: str) -> str:
        if cgroups_path.startswith("/"):
            return paths.resolve(cgroups_path, container_id)
        groups = paths.own_groups(files.read("/proc/self/cgroup"))
        found = {}
        for hierarchy in self.hierarchies:
            name = "" if hierarchy.unified else hierarchy.controllers[0]
            own = paths.below_mount(groups.get(name, "/"), hierarchy.root)
            found[name] = paths.resolve(cgroups_path, container_id, self._beside(own))
        return paths.join_lines(found)

    def _beside(self, own: str) -> str:
        """Below which group the container's is made, when its path does not say so."""
        return own

    def may_make(self, path: str) -> bool:
        """Whether the deepest group above ``path`` that is there is ours to write to."""
        return all(files.writable_parent(hierarchy.at(path)) for hierarchy in self.hierarchies)

    def _make(self, hierarchy: Hierarchy, path: str) -> list[str]:
        return files.make(hierarchy.at(path))

    def _kill_once(self, path: str) -> None:
        """Kill all that is there now. Standing still, they cannot fork faster than they are killed."""
        with contextlib.suppress(CgroupError):
            self.freeze(path, timeout=0.2)
        for pid in self.procs(path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signals.SIGKILL)
        with contextlib.suppress(CgroupError):
            self.thaw(path)


def wanted_limit(resources: Mapping[str, Any]) -> str:
    """The first controller that ``resources`` would set a limit of; devices, which every spec has, do not count."""
    names = {"memory": "memory", "cpu": "cpu", "pids": "pids", "blockIO": "blkio", "hugepageLimits": "hugetlb"}
    names |= {"rdma": "rdma", "network": "net_cls", "unified": "unified"}
    for key, name in names.items():
        part = resources.get(key)
        if any(part.values()) if isinstance(part, dict) else part:
            return name
    return ""


def enter(entries: list[tuple[int, str]]) -> None:
    """Move the calling process, which has one thread, into the group of ``open_entries``, and close them.

    Raises CgroupError.
    """
    for fd, file in entries:
        try:
            os.write(fd, b"0")
        except OSError as error:
            raise CgroupError(refusal(file, "0", error)) from error
        finally:
            os.close(fd)


def _enter(file: str, pid: int) -> None:
    """The kernel says EINVAL of a process that is only being born."""
    for _ in range(_ENTER_TRIES):
        try:
            files.write(file, str(pid))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            time.sleep(_ENTER_PAUSE)
        else:
            return
    files.write(file, str(pid))


def _is_zombie(pid: int) -> bool:
    """A zombie stays listed in its group until it is reaped."""
    stat = files.read_or(f"/proc/{pid}/stat")
    return not stat or stat.rpartition(")")[2].split()[:1] in (["Z"], ["X"])
