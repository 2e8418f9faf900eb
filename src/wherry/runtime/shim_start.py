"""How a shim starts its one process: descriptors, pid namespace, fork, cgroup, record, go.

A start that fails leaves nothing: no process, no cgroup, no file that was not there before.
"""

from __future__ import annotations

import contextlib
import os

from wherry.linux import namespaces, pidfd, signals, sockets
from wherry.linux.cgroups import CgroupError
from wherry.runtime import compact_json, init
from wherry.runtime.bundle_files import read_json, write_json
from wherry.runtime.init_errors import StartError, from_errno
from wherry.runtime.init_program import READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.linux.cgroups import Cgroups

_MESSAGE_LIMIT = 65536


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
        self.cgroup = ""
        """The group to remove after it; empty for an exec."""
        self.joined = ""
        """The group that it runs in."""
        self.oom_score_adj: int | None = None

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


class Ahead:
    """A child forked before anybody asked, process 1 of a pid namespace of its own, and the channel to it."""

    def __init__(self, cgroups: Cgroups | None) -> None:
        namespaces.unshare(namespaces.CLONE_NEWPID)
        self.channel, theirs = sockets.pair(sockets.SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.channel.close()  # with our end in its own hands it would never see that we are gone
            init.wait(theirs.fileno(), cgroups)
        theirs.close()


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
    starter = _Starter(bundle, request, cgroups, prepare)
    try:
        starter.run(ahead)
    except BaseException:
        starter.undo()
        raise
    return starter.child


class _Starter:
    def __init__(
        self, bundle: str, request: dict[str, Any], cgroups: Cgroups | None, prepare: Callable[[], None]
    ) -> None:
        self.child = Child()
        self._bundle = bundle
        self._request = request
        self._cgroups = cgroups
        self._prepare = prepare
        self._close: list[int] = []

    def run(self, ahead: Ahead | None) -> None:
        """The order of things; see the module."""
        child = self.child
        plan = init.Plan(self._bundle, self._request, self._cgroups)
        channel = self._employ(ahead, plan) if ahead else self._fork(plan)
        for fd in self._close:
            os.close(fd)
        # From here on the child mounts; meanwhile we make its cgroup.
        child.start_time = pidfd.start_time(child.pid)
        if plan.container < 0:
            self._make_cgroup(plan.cgroup_path)
        self._prepare()
        child.joined = plan.cgroup_path
        child.oom_score_adj = self._request.get("oom_score_adj")
        write_json(f"{self._bundle}/shim.json", child.record())
        # A child that has failed meanwhile is gone: what it had to say is still there to be read.
        with contextlib.suppress(BrokenPipeError):
            channel.send(init.GO)
        self._listen(channel)
        channel.close()

    def _fork(self, plan: init.Plan) -> sockets.Socket:
        self._choose_pid_namespace(plan)
        ours, theirs = sockets.pair(sockets.SEQPACKET)
        stdio = self._pipes()
        # As early as can be: what we write to before it is copied once more for the child.
        try:
            self.child.pid = os.fork()
        except OSError as error:
            raise from_errno("unable to fork", error.errno) from error
        if self.child.pid == 0:
            ours.close()  # with our end in its own hands it would never see that we are gone
            init.main(theirs.fileno(), plan, stdio)
        theirs.close()
        return ours

    def _employ(self, ahead: Ahead, plan: init.Plan) -> sockets.Socket:
        self.child.pid = ahead.pid
        plan.cgroup_path = self._request["cgroup"]
        sockets.send_fds(ahead.channel, self._bundle.encode(), list(self._pipes()))
        return ahead.channel

    def undo(self) -> None:
        """Take back whatever has been done."""
        child = self.child
        if child.pid > 0:
            os.kill(child.pid, signals.SIGKILL)
            os.waitpid(child.pid, 0)
        if child.cgroup and self._cgroups is not None:
            # Its error would hide the one that brought us here.
            with contextlib.suppress(CgroupError):
                self._cgroups.remove(child.cgroup)
        for name in ("shim.json", "shim.json.tmp"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._bundle}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(f"{self._bundle}/rootfs")

    def _choose_pid_namespace(self, plan: init.Plan) -> None:
        """Only our children enter it; the shim itself stays where it is."""
        if self._request["exec"]:
            self._join_container(plan, self._request["exec"])
            return
        plan.cgroup_path = self._request["cgroup"]
        path = self._request["pid_namespace"]
        self.child.own_pid_namespace = path == ""
        if path is None:
            return
        if path == "":
            namespaces.unshare(namespaces.CLONE_NEWPID)
            return
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise from_errno(f"lstat {path}", error.errno) from error
        namespaces.setns(fd, namespaces.CLONE_NEWPID)
        os.close(fd)

    def _join_container(self, plan: init.Plan, target: dict[str, Any]) -> None:
        try:
            record = read_json(f"{target['bundle']}/shim.json")
        except FileNotFoundError:
            raise StartError("the container is not running") from None
        same = record["pid"] == target["pid"]
        container = pidfd.open_verified(target["pid"], record["start"]) if same else None
        if container is None:
            raise StartError("the container is not running")
        self._close.append(container)
        plan.container = container
        plan.cgroup_path = record["joined"]
        # As its container, not as the daemon, which may be protected.
        plan.oom_score_adj = record["oom_score_adj"]
        namespaces.setns(container, namespaces.CLONE_NEWPID)

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
        self._close += theirs
        return tuple(theirs)

    def _make_cgroup(self, path: str) -> None:
        if self._cgroups is None or not path:
            return
        try:
            self._cgroups.create(path)
            self.child.cgroup = path
            resources = self._request["resources"]
            if resources:
                self._cgroups.apply(path, _with_own_devices(resources))
        except CgroupError as error:
            raise StartError(f"unable to apply cgroup configuration: {error}") from error

    def _listen(self, channel: sockets.Socket) -> None:
        """Hear what the child has to say until it executes the program."""
        ready = False
        while True:
            try:
                data, fds = sockets.recv_fds(channel, _MESSAGE_LIMIT, 1)
            except ConnectionResetError:
                continue  # it died with our word unread; its own message comes after this error
            if data == init.TERMINAL:
                self._adopt_terminal(fds[0])
            elif data == READY:
                ready = True
            elif data:
                failure = compact_json.loads(data)
                raise StartError(failure["message"], code=failure["code"], engine=failure["engine"])
            elif ready:
                return
            else:
                raise StartError("container init was killed before the program started")

    def _adopt_terminal(self, master: int) -> None:
        os.set_blocking(master, False)
        self.child.terminal = master
        self.child.outputs[master] = 1
        if self._request["stdio"]["stdin"]:
            self.child.stdin = master


_OWN_DEVICES = (
    # Any node may be made; only these may be opened besides what the spec allows: the default devices and terminals.
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    *(
        {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
        for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, -1))
    ),
)


def _with_own_devices(resources: dict[str, Any]) -> dict[str, Any]:
    """The limits of the spec; after its device rules, those for what every container has (config-linux, Devices)."""
    rules = resources.get("devices")
    return {**resources, "devices": [*rules, *_OWN_DEVICES]} if rules else resources
