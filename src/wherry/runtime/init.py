"""Between fork and execve: how a container's first process, and an exec's, get to where the program belongs.

The shim forks; the child runs one of the two lines below. They talk over a SOCK_SEQPACKET pair that execve closes:

    child → shim                                            shim → child
    ─────────────────────────────────────────────────────   ────────────────────────────────────────────────
    "T" + [master]    the terminal it has opened            "G"   shim.json is on disk, the cgroup has its limits
    "R"               the program comes next
    {"code", …}       it failed, see ``init_errors``; last
    end of file       after "R": the program runs; before: the child was killed
"""

from __future__ import annotations

import os

from wherry.linux import namespaces, process, signals, sockets
from wherry.linux.cgroups import CgroupError
from wherry.runtime.init_errors import NoProgram, StartError, Step
from wherry.runtime.init_program import CHANNEL, Program
from wherry.runtime.init_root import Root, detach_from_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from wherry.linux.cgroups.base import Cgroups

GO = b"G"
TERMINAL = b"T"

# The pid namespace is the shim's business: it concerns the caller's children, not the caller.
_ENTERED = ("user", "mount", "uts", "ipc", "network", "cgroup")


class Plan:
    """What the shim hands its child, all of it read before the fork."""

    def __init__(
        self, *, request: dict[str, Any], spec: dict[str, Any], bundle: str, seccomp: bytes, cgroups: Cgroups | None
    ) -> None:
        self.request = request
        self.spec = spec
        """config.json; of an exec only ``process``."""
        self.bundle = bundle
        self.seccomp = seccomp
        self.cgroups = cgroups
        self.cgroup_path = ""
        self.container = -1
        """Exec: a pidfd of the container's first process."""
        self.namespaces: dict[str, int] = {}
        """Launch: namespaces to join, by type; the others that config.json lists are new."""
        self.new_namespaces = 0


def main(plan: Plan, channel_fd: int, stdio: tuple[int, int, int] | None) -> NoReturn:
    """The child's whole life before the program. ``stdio`` are its pipes, None with a terminal."""
    try:
        # In the shim this number is the daemon's connection; what is above it goes when the program is entered.
        os.dup2(channel_fd, CHANNEL, inheritable=False)
        channel = sockets.of(CHANNEL)
        try:
            _start(plan, channel, stdio)
        except StartError as error:
            channel.send(_in_context(plan, error).encode())
        except OSError as error:
            channel.send(_in_context(plan, StartError(str(error))).encode())
        except Exception as error:  # noqa: BLE001  whatever it is, the user must hear of it: nobody else is left to tell
            channel.send(StartError(f"{type(error).__name__}: {error}").encode())
    finally:
        os._exit(1)


def _in_context(plan: Plan, error: StartError) -> StartError:
    """With the words that runc puts in front."""
    if plan.container >= 0 or error.engine or isinstance(error, NoProgram):
        return error
    return StartError(f"error during container init: {error}", code=error.code)


def _start(plan: Plan, channel: sockets.Socket, stdio: tuple[int, int, int] | None) -> None:
    # Nobody in the container may trace us or reach through our /proc links, from the first moment (CVE-2019-5736).
    process.set_dumpable(0)
    process.set_death_signal(signals.SIGKILL)
    for number, fd in enumerate(stdio or ()):
        os.dup2(fd, number)
    program = Program(plan.spec["process"], plan.request, plan.seccomp)
    if plan.container >= 0:
        _enter_container(plan, channel, program)
    else:
        _make_container(plan, channel, program)


def _make_container(plan: Plan, channel: sockets.Socket, program: Program) -> None:
    os.umask(0)
    root = Root(plan.spec, plan.cgroups)
    # 1. Foreign namespaces first: they are found by the host's descriptors, whose rights we still have.
    for kind, fd in plan.namespaces.items():
        with Step(f"joining {kind} namespace"):
            namespaces.setns(fd, namespaces.FLAGS[kind])
    # 2. Then our own, but for the cgroup namespace: its root is the group that we are in, which is not made yet.
    with Step("creating namespaces"):
        namespaces.unshare(plan.new_namespaces & ~namespaces.CLONE_NEWCGROUP)
    # 3. Bind sources while they still have the host's propagation, then nothing of ours reaches the host.
    root.clone_sources()
    with Step("making the mount tree a slave of the host's"):
        detach_from_host()
    root.mount_root(plan.request["root"], f"{plan.bundle}/rootfs")
    # 4. Names and kernel settings of the new namespaces. /proc is the host's; what it shows is the caller's.
    _name(plan.spec)
    _set_sysctls(plan.spec)
    program.protect()
    # 5. The shim has made the cgroup meanwhile: enter it by ourselves, which is much cheaper than being moved.
    _wait_for_go(channel)
    _enter_cgroup(plan)
    if plan.new_namespaces & namespaces.CLONE_NEWCGROUP:
        with Step("creating cgroup namespace"):
            namespaces.unshare(namespaces.CLONE_NEWCGROUP)
    # 6. The file system, with its cgroup directories; devices need the group's rules to allow them.
    root.populate()
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
    # 1. The cgroup first: its directories are the host's.
    program.protect()
    _wait_for_go(channel)
    _enter_cgroup(plan)
    # 2. All namespaces at once; with the mount namespace our root and working directory become the container's.
    with Step("joining the container's namespaces"):
        namespaces.setns(plan.container, _all_flags())
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    program.resolve_user(root)
    terminal = -1
    if plan.request["stdio"]["tty"]:
        terminal = _open_terminal(plan, channel, program, root)
    program.enter(terminal)


def _all_flags() -> int:
    flags = 0
    for kind in _ENTERED:
        # Entering the user namespace that one is in already is an error; ours are never others yet.
        flags |= namespaces.FLAGS[kind] if kind != "user" else 0
    return flags


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
