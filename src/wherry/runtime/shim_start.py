"""How a shim starts its one process: descriptors, pid namespace, fork, cgroup, record, go.

A start that fails leaves nothing: no process, no cgroup, no file that was not there before.
"""

from __future__ import annotations

import contextlib
import os

from wherry.linux import namespaces, pidfd, signals, sockets
from wherry.linux.cgroups import CgroupError
from wherry.runtime import compact_json, init
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

    def record(self) -> dict[str, Any]:
        """The contents of shim.json."""
        shim = os.getpid()
        return {
            "shim_pid": shim,
            "shim_start": pidfd.start_time(shim),
            "pid": self.pid,
            "start": self.start_time,
            "cgroup": self.cgroup,
        }


def start(bundle: str, request: dict[str, Any], cgroups: Cgroups | None, wanted: Callable[[], bool]) -> Child:
    """Start what ``request`` (launch.json) asks for; returns when the program has been executed.

    ``wanted`` says whether the daemon is still there to have a container: asked once, just before the record is
    written. Raises StartError.
    """
    starter = _Starter(bundle, request, cgroups, wanted)
    try:
        starter.run()
    except BaseException:
        starter.undo()
        raise
    return starter.child


def write_json(path: str, value: dict[str, Any]) -> None:
    """Put a file in place whole; not fsynced, it does not outlive the machine's run."""
    staged = f"{path}.tmp"
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, compact_json.dumps(value))
    finally:
        os.close(fd)
    os.rename(staged, path)


def read_json(path: str) -> dict[str, Any]:
    """A JSON object out of a file of ours."""
    value: dict[str, Any] = compact_json.loads(read_file(path))
    return value


def read_file(path: str) -> bytes:
    """A file of ours, whole."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


class _Starter:
    def __init__(
        self, bundle: str, request: dict[str, Any], cgroups: Cgroups | None, wanted: Callable[[], bool]
    ) -> None:
        self.child = Child()
        self._bundle = bundle
        self._request = request
        self._cgroups = cgroups
        self._wanted = wanted
        self._close: list[int] = []

    def run(self) -> None:
        """The order of things; see the module."""
        plan = self._plan()
        ours, theirs = sockets.pair(sockets.SEQPACKET)
        stdio = None if self._request["stdio"]["tty"] else self._pipes()
        try:
            self.child.pid = os.fork()
        except OSError as error:
            raise from_errno("unable to fork", error.errno) from error
        if self.child.pid == 0:
            init.main(plan, theirs.fileno(), stdio)
        theirs.close()
        for fd in self._close:
            os.close(fd)
        self._close.clear()
        # From here on the child mounts; meanwhile we make its cgroup.
        self.child.start_time = pidfd.start_time(self.child.pid)
        self._make_cgroup(plan)
        if not self._wanted():
            raise StartError("the daemon went away before the container started")
        write_json(f"{self._bundle}/shim.json", self.child.record() | {"joined": plan.cgroup_path})
        # A child that has failed meanwhile is gone: what it had to say is still there to be read.
        with contextlib.suppress(BrokenPipeError):
            ours.send(init.GO)
        self._listen(ours)
        ours.close()

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

    def _plan(self) -> init.Plan:
        request = self._request
        seccomp = b""
        if request["seccomp"]:
            seccomp = read_file(f"{self._bundle}/seccomp.bpf")
        if "container_pid" in request:
            spec = {"process": request["process"]}
        else:
            spec = read_json(f"{self._bundle}/config.json")
        plan = init.Plan(request=request, spec=spec, bundle=self._bundle, seccomp=seccomp, cgroups=self._cgroups)
        if "container_pid" in request:
            self._join_container(plan)
        else:
            self._prepare_container(plan)
        return plan

    def _join_container(self, plan: init.Plan) -> None:
        pid: int = self._request["container_pid"]
        try:
            record = read_json(f"{self._request['container_bundle']}/shim.json")
        except FileNotFoundError:
            raise StartError("the container is not running") from None
        container = pidfd.open_verified(pid, record["start"]) if record["pid"] == pid else None
        if container is None:
            raise StartError("the container is not running")
        plan.container = container
        plan.cgroup_path = record["joined"]
        self._close.append(container)
        # Only our children enter a pid namespace; the shim itself stays where it is.
        namespaces.setns(container, namespaces.CLONE_NEWPID)

    def _prepare_container(self, plan: init.Plan) -> None:
        linux = plan.spec.get("linux") or {}
        plan.cgroup_path = linux.get("cgroupsPath") or ""
        plan.new_namespaces = namespaces.CLONE_NEWNS
        self.child.own_pid_namespace = False
        for entry in linux.get("namespaces") or ():
            kind, path = entry["type"], entry.get("path")
            if kind not in namespaces.FLAGS or kind == "user":
                raise StartError(f"{kind} namespaces are not built yet")
            if path:
                self._open_namespace(plan, kind, path)
            elif kind == "pid":
                namespaces.unshare(namespaces.CLONE_NEWPID)
                self.child.own_pid_namespace = True
            else:
                plan.new_namespaces |= namespaces.FLAGS[kind]
        os.makedirs(f"{self._bundle}/rootfs", mode=0o700, exist_ok=True)

    def _open_namespace(self, plan: init.Plan, kind: str, path: str) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise from_errno(f"lstat {path}", error.errno) from error
        self._close.append(fd)
        if kind == "pid":
            namespaces.setns(fd, namespaces.CLONE_NEWPID)
        else:
            plan.namespaces[kind] = fd

    def _pipes(self) -> tuple[int, int, int]:
        child = self.child
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
        return theirs[0], theirs[1], theirs[2]

    def _make_cgroup(self, plan: init.Plan) -> None:
        if self._cgroups is None or not plan.cgroup_path or plan.container >= 0:
            return
        try:
            self._cgroups.create(plan.cgroup_path)
            self.child.cgroup = plan.cgroup_path
            resources = (plan.spec.get("linux") or {}).get("resources")
            if resources:
                self._cgroups.apply(plan.cgroup_path, _with_own_devices(resources))
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
    """The spec's limits, and after its device rules those for what every container has (runtime-spec, Default Devices)."""
    rules = resources.get("devices")
    return {**resources, "devices": [*rules, *_OWN_DEVICES]} if rules else resources
