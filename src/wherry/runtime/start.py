"""How a process is started in a container, from its parent's side; ``init`` is the other side.

    start = Start(plan, cgroups)
    start.fork(stdio)          the child mounts meanwhile
    start.make_cgroup()
    start.go()
    start.listen(…)            until its program runs; with a gate, until it only waits for ``start``
    start.undo()               at any point: nothing is left

The parent is a shim, or the ``wherry-oci`` command. It has one thread.
"""

from __future__ import annotations

import contextlib
import os

from wherry.linux import namespaces, pidfd, signals, sockets
from wherry.linux.cgroups import CgroupError, LimitError
from wherry.runtime import init
from wherry.runtime.init_errors import StartError, from_errno
from wherry.runtime.init_plan import GO, HOOKS, LISTENER, MOUNTS, PROCESS, TERMINAL, Plan
from wherry.runtime.init_program import READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.linux.cgroups import Cgroups

_MESSAGE_LIMIT = 65536


class Ahead:
    """A child forked before anybody asked, process 1 of a pid namespace of its own, and the channel to it."""

    def __init__(self, cgroups: Cgroups | None) -> None:
        namespaces.unshare(namespaces.CLONE_NEWPID)
        self.channel, theirs = sockets.pair(sockets.SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.channel.close()  # with our end in its own hands it would never see that we are gone
            init.wait(theirs.fileno(), cgroups)
        _come_back()
        theirs.close()


class Start:
    """See the module."""

    def __init__(self, plan: Plan, cgroups: Cgroups | None) -> None:
        self.pid = -1
        """In the caller's pid namespace; of an exec, and in a user namespace, known from ``make_cgroup`` on."""
        self.start_time = 0
        self.cgroup = ""
        """The group that was made, and is removed by ``undo``."""
        self.mount_namespace = -1
        """A descriptor of the container's, the caller's to close; -1 for one whose root is no overlay."""
        self._plan = plan
        self._cgroups = cgroups
        self._between = 0
        self._channel: sockets.Socket | None = None

    def fork(self, stdio: tuple[int, ...]) -> None:
        """Fork the child, with ``stdio`` as its 0, 1 and 2, empty for a terminal. Raises StartError."""
        plan = self._plan
        elsewhere = self._choose_pid_namespace()
        ours, theirs = sockets.pair(sockets.SEQPACKET)
        # As early as can be: what we write to before it is copied once more for the child.
        try:
            pid = os.fork()
        except OSError as error:
            raise from_errno("unable to fork", error.errno) from error
        if pid == 0:
            ours.close()  # with our end in its own hands it would never see that we are gone
            init.main(theirs.fileno(), plan, stdio)
        if elsewhere:
            _come_back()
        theirs.close()
        self._channel = ours
        if plan.forks_inside:
            self._between = pid
        else:
            self._know(pid)

    def employ(self, ahead: Ahead, stdio: tuple[int, ...]) -> None:
        """In place of ``fork``: the child that waits becomes the container's. Raises OSError if it is gone."""
        self._channel = ahead.channel
        sockets.send_fds(ahead.channel, self._plan.bundle.encode(), list(stdio))
        self._know(ahead.pid)

    def make_cgroup(self) -> None:
        """Make the container's group and set its limits; none for an exec. Raises StartError."""
        self._wait_for_pid()
        path = self._plan.request["cgroup"] if self._plan.container < 0 else ""
        if self._cgroups is None or not path:
            return
        try:
            self._cgroups.create(path, self.pid, self._plan.request.get("annotations"))
            self.cgroup = path
            self._cgroups.apply(path, _with_own_devices(self._plan.request["resources"] or {}))
        except CgroupError as error:
            raise _refused(error) from error

    def go(self) -> None:
        """Let the child enter its group. Raises StartError."""
        self._wait_for_pid()
        if self._plan.in_user_namespace and self._cgroups is not None and self._plan.cgroup_path:
            # Root of a user namespace may not write to the host's directories.
            try:
                self._cgroups.attach(self._plan.cgroup_path, self.pid)
                if self._plan.request.get("owns_cgroup"):
                    self._cgroups.delegate(self._plan.cgroup_path, os.stat(f"/proc/{self.pid}").st_uid)
            except CgroupError as error:
                raise _refused(error) from error
        self._answer(self._live_channel())

    def listen(
        self,
        *,
        terminal: Callable[[int], None],
        hooks: Callable[[str], None],
        listener: Callable[[int], None],
    ) -> None:
        """Hear what the child has to say until its program runs. Raises StartError.

        ``terminal`` gets the master of its pseudo-terminal, ``listener`` the descriptor of a seccomp filter that
        notifies: theirs to close. ``hooks`` runs those of the name it is given.
        """
        channel = self._live_channel()
        ready = False
        while True:
            try:
                data, fds = sockets.recv_fds(channel, _MESSAGE_LIMIT, 1)
            except ConnectionResetError:
                continue  # it died with our word unread; its own message comes after this error
            if data == TERMINAL:
                terminal(fds[0])
            elif data == MOUNTS:
                self.mount_namespace = fds[0]
            elif data == HOOKS:
                hooks("prestart")
                hooks("createRuntime")
                self._answer(channel)
            elif data == READY:
                ready = True
            elif data[:1] == LISTENER:
                listener(self._take(int(data[1:])))
                self._answer(channel)
            elif data:
                raise StartError.decode(data)
            elif ready:
                channel.close()
                self._channel = None
                return
            else:
                raise StartError(self._why_killed())

    def undo(self) -> None:
        """Take back whatever has been done."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        for pid in (self.pid, self._between):
            if pid > 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signals.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        if self.cgroup and self._cgroups is not None:
            # Its error would hide the one that brought us here.
            with contextlib.suppress(CgroupError):
                self._cgroups.remove(self.cgroup)

    def _choose_pid_namespace(self) -> bool:
        """Whether our next child is born into another one; we stay where we are."""
        plan = self._plan
        if plan.container >= 0:
            return False  # the child joins it with all the others, and forks
        path = plan.request["pid_namespace"]
        if path is None:
            return False
        if path == "":
            if plan.in_user_namespace:
                return False  # its root must own it: the child makes it by itself
            namespaces.unshare(namespaces.CLONE_NEWPID)
            return True
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise from_errno(f"lstat {path}", error.errno) from error
        try:
            namespaces.setns(fd, namespaces.CLONE_NEWPID)
        except OSError as error:
            raise from_errno(f"joining pid namespace: {path}", error.errno) from error
        finally:
            os.close(fd)
        return True

    def _wait_for_pid(self) -> None:
        """Of a container in a user namespace: the child has forked the one that matters, and ends."""
        if self.pid > 0:
            return
        data, fds = sockets.recv_fds(self._live_channel(), _MESSAGE_LIMIT, 1)
        if data == MOUNTS:  # of the second child, who was faster than the first
            self.mount_namespace = fds[0]
            data, fds = sockets.recv_fds(self._live_channel(), _MESSAGE_LIMIT, 1)
        if data != PROCESS:
            raise StartError.decode(data) if data else StartError(self._why_killed())
        self._know(pidfd.shown_by_proc(fds[0]))
        os.close(fds[0])
        os.waitpid(self._between, 0)

    @staticmethod
    def _answer(channel: sockets.Socket) -> None:
        # A child that has failed meanwhile is gone: what it had to say is still there to be read.
        with contextlib.suppress(BrokenPipeError):
            channel.send(GO)

    def _why_killed(self) -> str:
        if self.cgroup and self._cgroups is not None and self._cgroups.oom_count(self.cgroup):
            return "container init was OOM-killed (memory limit too low?)"
        return "container init was killed before the program started"

    def _know(self, pid: int) -> None:
        self.pid = pid
        self.start_time = pidfd.start_time(pid)

    def _take(self, number: int) -> int:
        process = os.pidfd_open(self.pid)
        try:
            return pidfd.get_fd(process, number)
        except OSError as error:
            raise from_errno("unable to take the seccomp listener", error.errno) from error
        finally:
            os.close(process)

    def _live_channel(self) -> sockets.Socket:
        if self._channel is None:
            raise StartError("there is no child to talk to")
        return self._channel


def _come_back() -> None:
    """Further children are no children of the container's pid namespace: hooks above all, which the runtime's see."""
    fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.setns(fd, namespaces.CLONE_NEWPID)
    except PermissionError:
        return  # root of a user namespace alone, in a pid namespace that is not its own: it may not
    finally:
        os.close(fd)


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
    return {**resources, "devices": [*(resources.get("devices") or ()), *_OWN_DEVICES]}


def _refused(error: CgroupError) -> StartError:
    """In the words of runc, which sets some limits only when the child is on its way."""
    where = "error during container init: " if isinstance(error, LimitError) else ""
    return StartError(f"{where}{error.step}: {error}")
