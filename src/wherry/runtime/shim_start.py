"""How a shim starts its one process by ``start``: with which descriptors, cgroup and record.

A start that fails leaves nothing: no process, no cgroup, no file that was not there before.
"""

from __future__ import annotations

import contextlib
import os

from wherry.linux import pidfd
from wherry.runtime import hooks, init
from wherry.runtime.bundle_files import read_json, write_json
from wherry.runtime.init_errors import StartError
from wherry.runtime.start import Ahead, Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.linux.cgroups import Cgroups


class Child:
    """The process that the shim is for, and its ends of that one's stdio (-1: none)."""

    def __init__(self) -> None:
        self.pid = -1
        self.start_time = 0
        self.outputs: dict[int, int] = {}
        """Descriptor → stream: 1 stdout, 2 stderr; a terminal is 1."""
        self.stdin = -1
        self.terminal = -1
        self.own_pid_namespace = True
        """Its end is the end of everything that it started."""
        self.mount_namespace = -1
        """Held until the end: whoever holds it last unmounts the root, and waits until it is written."""
        self.cgroup = ""
        """The group to remove after it; empty for an exec."""
        self.joined = ""
        """The group that it runs in."""
        self.oom_score_adj: int | None = None
        self.finish: Callable[[], None] | None = None
        """What another runtime wants to be told of its end."""

    def record(self) -> dict[str, Any]:
        """The contents of shim.json."""
        shim = os.getpid()
        return {
            "shim_pid": shim,
            "shim_start": pidfd.start_time(shim),
            "pid": self.pid,
            "start": self.start_time,
            "cgroup": self.cgroup,
            "joined": self.joined,
            "oom_score_adj": self.oom_score_adj,
        }


def start(
    bundle: str,
    request: dict[str, Any],
    cgroups: Cgroups | None,
    prepare: Callable[[], None],
    ahead: Ahead | None = None,
) -> Child:
    """Start what ``request`` (launch.json) asks for; returns when the program has been executed.

    ``prepare`` is the shim's own part, done while the child mounts; it may refuse. Raises StartError.
    """
    starter = _kind(request)(bundle, request, cgroups, prepare)
    try:
        starter.run(ahead)
    except BaseException:
        starter.undo()
        raise
    return starter.child


def _kind(request: dict[str, Any]) -> type[Starter]:
    if not request["runtime"]:
        return Starter
    from wherry.runtime.foreign import ForeignStarter  # noqa: PLC0415  only these shims pay for it

    return ForeignStarter


class Starter:
    """One start by our own runtime."""

    def __init__(
        self, bundle: str, request: dict[str, Any], cgroups: Cgroups | None, prepare: Callable[[], None]
    ) -> None:
        self.child = Child()
        self._bundle = bundle
        self._request = request
        self._prepare = prepare
        self._cgroups = cgroups
        self._close: list[int] = []
        self._plan = init.Plan(bundle, request, cgroups)
        self._start = Start(self._plan, cgroups)

    def run(self, ahead: Ahead | None) -> None:
        """The order of things; see the module."""
        child, plan, start = self.child, self._plan, self._start
        if self._request["exec"]:
            self._join_container(self._request["exec"])
        else:
            plan.cgroup_path = self._request["cgroup"]
            child.own_pid_namespace = self._request["pid_namespace"] == ""
        if ahead:
            start.employ(ahead, self._pipes())
        else:
            start.fork(self._pipes())
        for fd in self._close:
            os.close(fd)
        # From here on the child mounts; meanwhile we make its cgroup.
        start.make_cgroup()
        child.pid, child.start_time, child.cgroup = start.pid, start.start_time, start.cgroup
        self._prepare()
        child.joined = plan.cgroup_path
        child.oom_score_adj = self._request.get("oom_score_adj")
        write_json(f"{self._bundle}/shim.json", child.record())
        start.go()
        start.listen(terminal=self._adopt_terminal, hooks=self._run_hooks, listener=self._forward_listener)
        child.mount_namespace = start.mount_namespace

    def undo(self) -> None:
        """Take back whatever has been done."""
        self._start.undo()
        for name in ("shim.json", "shim.json.tmp"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._bundle}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(f"{self._bundle}/rootfs")

    def _join_container(self, target: dict[str, Any]) -> None:
        record, container = self._find_container(target)
        self._close.append(container)
        self._plan.container = container
        self._plan.cgroup_path = record["joined"]
        # As its container, not as the daemon, which may be protected.
        self._plan.oom_score_adj = record["oom_score_adj"]

    @staticmethod
    def _find_container(target: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """What the shim of the container to execute in has recorded, and a pidfd of that, the caller's to close.

        Raises StartError if it has ended.
        """
        try:
            record = read_json(f"{target['bundle']}/shim.json")
        except FileNotFoundError:
            raise StartError("the container is not running") from None
        same = record["pid"] == target["pid"]
        container = pidfd.open_verified(target["pid"], record["start"]) if same else None
        if container is None:
            raise StartError("the container is not running")
        return record, container

    def _pipes(self) -> tuple[int, ...]:
        """The child's ends of its stdio; none with a terminal."""
        child = self.child
        if self._request["stdio"]["tty"]:
            return ()
        if self._request["stdio"]["stdin"]:
            stdin, child.stdin = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(child.stdin, False)
        else:
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        theirs = [stdin]
        for stream in (1, 2):
            ours, end = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(ours, False)
            child.outputs[ours] = stream
            theirs.append(end)
        if (owner := self._request["owner"]) != [0, 0]:
            # Only then can /dev/stdout be opened again in a user namespace. Not /dev/null, which is everybody's.
            for end in theirs[0 if self._request["stdio"]["stdin"] else 1 :]:
                os.fchown(end, *owner)
        self._close += theirs
        return tuple(theirs)

    def _adopt_terminal(self, master: int) -> None:
        os.set_blocking(master, False)
        self.child.terminal = master
        self.child.outputs[master] = 1
        if self._request["stdio"]["stdin"]:
            self.child.stdin = master

    def _run_hooks(self, where: str) -> None:
        """Those of a device's CDI description, say."""
        hooks.run(self._request["hooks"].get(where) or [], self._state(), where=where)

    def _forward_listener(self, fd: int) -> None:
        from wherry.runtime import seccomp_agent  # noqa: PLC0415  hardly any shim needs it

        try:
            seccomp_agent.forward(fd, read_json(f"{self._bundle}/config.json"), self._state())
        finally:
            os.close(fd)

    def _state(self) -> dict[str, Any]:
        return {**self._plan.state, "status": "creating", "pid": self._start.pid}
