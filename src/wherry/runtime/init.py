"""Between fork and execve: how a container's first process, and an exec's, get to where the program belongs.

The shim forks; the child runs one of the two lines below. They talk over a SOCK_SEQPACKET pair that execve closes:

    child → shim                                            shim → child
    ─────────────────────────────────────────────────────   ────────────────────────────────────────────────
                                                            bundle + [stdio]   only to a child forked ahead
    "T" + [master]    the terminal it has opened            "G"   shim.json is on disk, the cgroup has its limits
    "R"               the program comes next
    {"code", …}       it failed, see ``init_errors``; last
    end of file       after "R": the program runs; before: the child was killed
"""

from __future__ import annotations

import os

from wherry.linux import namespaces, process, signals, sockets
from wherry.linux.cgroups import CgroupError
from wherry.runtime.bundle_files import read_file, read_json
from wherry.runtime.init_errors import NoProgram, StartError, Step
from wherry.runtime.init_program import CHANNEL, Program
from wherry.runtime.init_root import Root, detach_from_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from wherry.linux.cgroups.base import Cgroups

    Stdio = tuple[int, ...]

GO = b"G"
TERMINAL = b"T"
_MESSAGE_LIMIT = 4096

# What an exec enters. The pid namespace is the shim's business: it concerns the caller's children, not the caller.
_ENTERED = ("mount", "uts", "ipc", "network", "cgroup")


class Plan:
    """What the shim hands its child."""

    def __init__(self, bundle: str, request: dict[str, Any], cgroups: Cgroups | None) -> None:
        self.bundle = bundle
        self.request = request
        """launch.json."""
        self.cgroups = cgroups
        self.cgroup_path = ""
        """The group to enter; empty for none."""
        self.container = -1
        """Exec: a pidfd of the container's first process."""
        self.oom_score_adj: int | None = None
        """Exec: the container's."""


def main(channel_fd: int, plan: Plan, stdio: Stdio) -> NoReturn:
    """The child's whole life before the program. ``stdio`` are its pipes, empty with a terminal."""
    try:
        channel = _guard(channel_fd)
        _report(plan, channel, stdio)
    finally:
        os._exit(1)


def wait(channel_fd: int, cgroups: Cgroups | None) -> NoReturn:
    """As ``main``, of a child that was forked ahead of any request: it is told on the channel what it is to be."""
    try:
        channel = _guard(channel_fd)
        data, fds = sockets.recv_fds(channel, _MESSAGE_LIMIT, 3)
        if data:
            bundle = data.decode()
            plan = Plan(bundle, read_json(f"{bundle}/launch.json"), cgroups)
            plan.cgroup_path = plan.request["cgroup"]
            _report(plan, channel, tuple(fds))
    finally:
        os._exit(1)


def _guard(channel_fd: int) -> sockets.Socket:
    # Nobody in the container may trace us or reach through our /proc links, from the first moment (CVE-2019-5736).
    process.set_dumpable(0)
    process.set_death_signal(signals.SIGKILL)
    # In the shim this number is the daemon's connection; what is above it goes when the program is entered.
    os.dup2(channel_fd, CHANNEL, inheritable=False)
    return sockets.of(CHANNEL)


def _report(plan: Plan, channel: sockets.Socket, stdio: Stdio) -> None:
    try:
        _start(plan, channel, stdio)
    except StartError as error:
        channel.send(_in_context(plan, error).encode())
    except OSError as error:
        channel.send(_in_context(plan, StartError(str(error))).encode())
    except Exception as error:  # noqa: BLE001  whatever it is, the user must hear of it: nobody else is left to tell
        channel.send(StartError(f"{type(error).__name__}: {error}").encode())


def _in_context(plan: Plan, error: StartError) -> StartError:
    """With the words that runc puts in front."""
    if plan.container >= 0 or error.engine or isinstance(error, NoProgram):
        return error
    return StartError(f"error during container init: {error}", code=error.code)


def _start(plan: Plan, channel: sockets.Socket, stdio: Stdio) -> None:
    for number, fd in enumerate(stdio):
        os.dup2(fd, number)
    spec = read_json(f"{plan.bundle}/config.json")
    seccomp = read_file(f"{plan.bundle}/seccomp.bpf") if plan.request["seccomp"] else b""
    program = Program(spec["process"], plan.request, seccomp)
    if plan.container >= 0:
        spec["process"].setdefault("oomScoreAdj", plan.oom_score_adj)
        _enter_container(plan, channel, program)
    else:
        _make_container(plan, spec, channel, program)


def _make_container(plan: Plan, spec: dict[str, Any], channel: sockets.Socket, program: Program) -> None:
    os.umask(0)
    root = Root(spec, plan.cgroups)
    # 1. Foreign namespaces first: they are found by the host's paths, and their rights are still ours.
    new = _join_namespaces(spec)
    # 2. Then our own, but for the cgroup namespace: its root is the group that we are in, which is not made yet.
    with Step("creating namespaces"):
        namespaces.unshare(new & ~namespaces.CLONE_NEWCGROUP)
    # 3. Bind sources while they still have the host's propagation, then nothing of ours reaches the host.
    root.clone_sources()
    with Step("making the mount tree a slave of the host's"):
        detach_from_host()
    root.mount_root(plan.request["root"], f"{plan.bundle}/rootfs")
    # 4. Names and kernel settings of the new namespaces. /proc is the host's; what it shows is the caller's.
    _name(spec)
    _set_sysctls(spec)
    program.protect()
    # 5. The file system, but for what shows the cgroup.
    root.populate()
    # 6. The shim has made the cgroup meanwhile: enter it by ourselves, which is much cheaper than being moved.
    _wait_for_go(channel)
    _enter_cgroup(plan)
    if new & namespaces.CLONE_NEWCGROUP:
        with Step("creating cgroup namespace"):
            namespaces.unshare(namespaces.CLONE_NEWCGROUP)
    root.populate_cgroups()
    program.resolve_user(root.fd)
    program.make_directory(root.fd)
    terminal = -1
    if plan.request["stdio"]["tty"]:
        terminal = _open_terminal(plan, channel, program, root.fd)
        root.bind_console(terminal)
    # 7. Last of all what takes rights away, then the door closes.
    root.seal()
    root.pivot()
    program.enter(terminal)


def _enter_container(plan: Plan, channel: sockets.Socket, program: Program) -> None:
    # 1. What is the host's first: /proc, and the cgroup's directories.
    program.protect()
    _wait_for_go(channel)
    _enter_cgroup(plan)
    # 2. All namespaces at once; with the mount namespace our root and working directory become the container's.
    with Step("joining the container's namespaces"):
        namespaces.setns(plan.container, sum(namespaces.FLAGS[kind] for kind in _ENTERED))
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    program.resolve_user(root)
    terminal = -1
    if plan.request["stdio"]["tty"]:
        terminal = _open_terminal(plan, channel, program, root)
    program.enter(terminal)


def _join_namespaces(spec: dict[str, Any]) -> int:
    """Enter the namespaces that have a path; the flags of those that are to be new."""
    new = namespaces.CLONE_NEWNS
    for entry in (spec.get("linux") or {}).get("namespaces") or ():
        kind, path = entry["type"], entry.get("path")
        if kind not in namespaces.FLAGS or kind == "user":
            raise StartError(f"{kind} namespaces are not built yet")
        if kind == "pid":
            continue
        if not path:
            new |= namespaces.FLAGS[kind]
            continue
        with Step(f"joining {kind} namespace: {path}"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            namespaces.setns(fd, namespaces.FLAGS[kind])
            os.close(fd)
    return new


def _open_terminal(plan: Plan, channel: sockets.Socket, program: Program, root: int) -> int:
    stdio = plan.request["stdio"]
    master, replica = program.open_terminal(root, stdio["height"], stdio["width"])
    sockets.send_fds(channel, TERMINAL, [master])
    os.close(master)
    return replica


def _wait_for_go(channel: sockets.Socket) -> None:
    if channel.recv(1) != GO:
        os._exit(1)  # the shim has given up, and says why


def _enter_cgroup(plan: Plan) -> None:
    if plan.cgroups is not None and plan.cgroup_path:
        try:
            plan.cgroups.attach_self(plan.cgroup_path)
        except CgroupError as error:
            raise StartError(str(error)) from error


def _name(spec: dict[str, Any]) -> None:
    if spec.get("hostname"):
        with Step("sethostname"):
            process.set_host_name(spec["hostname"])
    if spec.get("domainname"):
        with Step("setdomainname"):
            process.set_domain_name(spec["domainname"])


def _set_sysctls(spec: dict[str, Any]) -> None:
    for name, value in ((spec.get("linux") or {}).get("sysctl") or {}).items():
        path = "/proc/sys/" + name.replace(".", "/")
        with Step(f"open {path}"):
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            with Step(f"write {path}"):
                os.write(fd, value.encode())
        finally:
            os.close(fd)
