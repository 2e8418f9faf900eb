"""The namespaces that config.json lists: those to join by path, those to make, and what an exec enters.

The user namespace is ``init_userns``'s business; the pid namespace is mostly the parent's: it concerns its children.
"""

from __future__ import annotations

import errno
import os

from wherry.linux import namespaces, process
from wherry.linux.namespaces import CLONE_NEWCGROUP, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME, FLAGS
from wherry.runtime.init_errors import StartError, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What an exec enters, where it differs from the caller's: the kernel refuses one's own user namespace, and without
# privileges every other that is the host's too. The pid namespace it was born into.
_ENTERED = ("user", "mount", "uts", "ipc", "network", "cgroup", "time")
_FILES = {"mount": "mnt", "network": "net"}


class Namespaces:
    """``linux.namespaces``, step by step."""

    def __init__(self, linux: dict[str, Any]) -> None:
        self._new = CLONE_NEWNS
        self._paths: list[tuple[str, str]] = []
        self._offsets: dict[str, Any] = linux.get("timeOffsets") or {}
        for entry in linux.get("namespaces") or ():
            kind, path = entry["type"], entry.get("path")
            if kind not in FLAGS:
                raise StartError(f"unknown namespace type {kind!r}")
            if kind in ("pid", "user"):
                continue
            if path:
                self._paths.append((kind, path))
                if kind == "mount":
                    self._new &= ~CLONE_NEWNS
            else:
                self._new |= FLAGS[kind]

    def join(self, *, may_fail: bool = False) -> None:
        """Enter those that have a path. ``may_fail``: one whose owner we are not root of is left for the next call."""
        left: list[tuple[str, str]] = []
        for kind, path in self._paths:
            with Step(f"joining {kind} namespace: {path}"):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    namespaces.setns(fd, FLAGS[kind])
                except PermissionError:
                    if not may_fail:
                        raise
                    left.append((kind, path))
                finally:
                    os.close(fd)
        self._paths = left

    def make(self, *, pid: bool = False) -> None:
        """Make the new ones but for the cgroup namespace, and enter them; ``pid``: a pid namespace for our children."""
        new = self._new & ~(CLONE_NEWCGROUP | CLONE_NEWTIME)
        with Step("creating namespaces"):
            namespaces.unshare(new | (CLONE_NEWPID if pid else 0))
        if self._new & CLONE_NEWTIME:
            self._make_time()

    def make_cgroup(self) -> None:
        """The cgroup namespace, if it is to be new: its root is the group that we are in."""
        if self._new & CLONE_NEWCGROUP:
            with Step("creating cgroup namespace"):
                namespaces.unshare(CLONE_NEWCGROUP)

    def _make_time(self) -> None:
        """Only children are born into a new time namespace, whose clocks are set before anybody is: then enter it."""
        with Step("creating time namespace"):
            namespaces.unshare(CLONE_NEWTIME)
        if self._offsets:
            lines = "".join(
                f"{clock} {offset.get('secs', 0)} {offset.get('nanosecs', 0)}\n"
                for clock, offset in self._offsets.items()
            )
            with Step("error setting time namespace offsets"):
                _write_own("/proc/self/timens_offsets", lines.encode())
        with Step("joining the new time namespace"):
            fd = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
            namespaces.setns(fd, CLONE_NEWTIME)
            os.close(fd)


def host_root(linux: dict[str, Any]) -> tuple[int, int]:
    """The host's uid and gid of root in a container with ``linux`` of config.json."""
    if not any(entry["type"] == "user" for entry in linux.get("namespaces") or ()):
        return 0, 0
    return _host_id(linux.get("uidMappings")), _host_id(linux.get("gidMappings"))


def _host_id(mappings: list[dict[str, int]] | None) -> int:
    return next((entry["hostID"] for entry in mappings or () if entry["containerID"] == 0), 0)


def owns_cgroup(spec: dict[str, Any]) -> bool:
    """Whether the container's root shall own its group (runtime-spec, config-linux, cgroup ownership): with a user and
    a cgroup namespace of its own, and the group mounted to be written to.
    """
    own = {entry["type"] for entry in (spec.get("linux") or {}).get("namespaces") or () if not entry.get("path")}
    return {"user", "cgroup"} <= own and any(
        mount.get("type") in ("cgroup", "cgroup2") and "ro" not in (mount.get("options") or ())
        for mount in spec.get("mounts") or ()
    )


def _write_own(path: str, data: bytes) -> None:
    """Write to a file of ours in /proc; as root of a user namespace only a process that may be dumped owns them."""
    process.set_dumpable(1)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    finally:
        process.set_dumpable(0)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def exec_flags(pid: int) -> int:
    """What to enter of the container whose first process is ``pid``: flags for setns(2) on its pidfd.

    Raises StartError when it is gone.
    """
    flags = 0
    for kind in _ENTERED:
        name = _FILES.get(kind, kind)
        try:
            own = os.stat(f"/proc/self/ns/{name}").st_ino
        except FileNotFoundError:
            continue  # a kernel without them
        try:
            if os.stat(f"/proc/{pid}/ns/{name}").st_ino != own:
                flags |= FLAGS[kind]
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                raise
            raise StartError("the container is not running") from None
    return flags
