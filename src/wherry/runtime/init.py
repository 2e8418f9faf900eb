"""Between fork and execve: how a container's first process, and an exec's, get to where the program belongs.

The parent (a shim, or the ``wherry-oci`` command) forks; the child runs ``main``, or ``wait`` if it was forked ahead of
any request. They talk over a SOCK_SEQPACKET pair that execve closes: ``init_plan`` has the words.

    init_container     a new container        namespaces → root → cgroup → hooks → program
    below              a further process      cgroup → the container's namespaces → program
"""

from __future__ import annotations

import os

from wherry.linux import namespaces, process, signals, sockets
from wherry.linux.syscalls import close_all_but
from wherry.runtime.bundle_files import read_file, read_json
from wherry.runtime.init_container import Container
from wherry.runtime.init_errors import Plain, StartError, Step
from wherry.runtime.init_namespaces import exec_flags
from wherry.runtime.init_plan import Plan, enter_cgroup, fork_inside, open_cgroup, open_terminal, wait_for_go
from wherry.runtime.init_program import CHANNEL, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from wherry.linux.cgroups.base import Cgroups

    Stdio = tuple[int, ...]

__all__ = ["Plan", "main", "wait"]

_MESSAGE_LIMIT = 4096


def main(channel_fd: int, plan: Plan, stdio: Stdio) -> NoReturn:
    """The child's whole life before the program. ``stdio`` are its pipes, empty with a terminal."""
    try:
        # The numbers behind what the program is to have are the channel's and the gate's.
        lowest = CHANNEL + plan.keep + (2 if plan.gate >= 0 else 1)
        stdio = tuple(sockets.lift(fd, lowest) for fd in stdio)
        plan.container = sockets.lift(plan.container, lowest)
        channel = _guard(channel_fd, plan)
        _report(plan, channel, stdio)
    finally:
        os._exit(1)


def wait(channel_fd: int, cgroups: Cgroups | None) -> NoReturn:
    """As ``main``, of a child that was forked ahead of any request: it is told on the channel what it is to be."""
    try:
        channel = _guard(channel_fd, None)
        data, fds = sockets.recv_fds(channel, _MESSAGE_LIMIT, 3)
        if data:
            bundle = data.decode()
            plan = Plan(bundle, read_json(f"{bundle}/launch.json"), cgroups)
            plan.cgroup_path = plan.request["cgroup"]
            _report(plan, channel, tuple(fds))
    finally:
        os._exit(1)


def _guard(channel_fd: int, plan: Plan | None) -> sockets.Socket:
    # Nobody in the container may trace us or reach through our /proc links, from the first moment (CVE-2019-5736).
    process.set_dumpable(0)
    process.set_death_signal(signals.SIGKILL)
    # In the shim this number is the daemon's connection; what is above it goes when the program is entered.
    number = CHANNEL + (plan.keep if plan else 0)
    if plan is not None and plan.gate >= 0:
        sockets.arrange([channel_fd, plan.gate], number)
        plan.gate = number + 1
    else:
        os.dup2(channel_fd, number, inheritable=False)
    return sockets.of(number)


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
    if plan.container >= 0 or error.engine or isinstance(error, Plain):
        return error
    return StartError(f"error during container init: {error}", code=error.code)


def _start(plan: Plan, channel: sockets.Socket, stdio: Stdio) -> None:
    for number, fd in enumerate(stdio):
        if fd != number:
            os.dup2(fd, number)
    spec = plan.spec if plan.spec is not None else read_json(f"{plan.bundle}/config.json")
    seccomp = plan.seccomp
    if seccomp is None:
        seccomp = read_file(f"{plan.bundle}/seccomp.bpf") if plan.request["seccomp"] else b""
    flags = exec_flags(plan.request["exec"]["pid"]) if plan.container >= 0 else 0
    inside = plan.request.get("user_namespace") or flags & namespaces.CLONE_NEWUSER or namespaces.IN_USER_NAMESPACE
    program = Program(
        spec["process"],
        plan.request,
        seccomp,
        spec=spec,
        keep=plan.keep,
        user_namespace=bool(inside),
    )
    if plan.container >= 0:
        spec["process"].setdefault("oomScoreAdj", plan.oom_score_adj)
        _enter_container(plan, flags, channel, program)
    else:
        Container(plan, spec, channel, program).run()


def _enter_container(plan: Plan, flags: int, channel: sockets.Socket, program: Program) -> None:
    """In two steps, as runc does it: nobody inside may see a process whose /proc/N/root or /proc/N/fd leads out.

    CAP_SYS_PTRACE alone would let him follow these links, dumpable or not (CVE-2016-9962 was of that kind).
    """
    # 1. What is the host's first: /proc, and the way into the cgroup, which only the second of us takes.
    program.protect()
    entries = open_cgroup(plan)
    # 2. All namespaces at once; with the mount namespace our root and working directory become the container's.
    with Step("joining the container's namespaces"):
        namespaces.setns(plan.container, flags | namespaces.CLONE_NEWPID)
    # 3. Nothing of the host's in hand but what leads nowhere.
    kept = {*range(channel.fileno()), channel.fileno(), *(fd for fd, _ in entries)}
    close_all_but(kept)
    fork_inside(channel)
    # 4. Inside.
    wait_for_go(channel)
    enter_cgroup(entries)
    program.open_labels()
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    program.resolve_user(root)
    terminal = -1
    if plan.request["stdio"]["tty"]:
        terminal = open_terminal(plan, channel, program, root)
    program.enter(terminal)
