"""Between fork and execve: how a container's first process, and an exec's, get to where the program belongs.

The shim forks; the child runs one of the two lines below. They talk over a SOCK_SEQPACKET pair that execve closes:

    child → parent                                          parent → child
    ─────────────────────────────────────────────────────   ────────────────────────────────────────────────
                                                            bundle + [stdio]   only to a child forked ahead
    "P" + [pidfd]     a user namespace: whom it has forked
                                                            "G"   the cgroup has its limits, enter it
    "H"               the runtime's hooks, now              "G"   they have run
    "T" + [master]    the terminal it has opened
    "S" + number      the descriptor of a seccomp listener
    "R"               the program comes next
    {"code", …}       it failed, see ``init_errors``; last
    end of file       after "R": the program runs, or waits at the gate; before: the child was killed

In a user namespace there are two children. The first does what needs the host's rights, forks the second inside, and
ends; the second is the container's first process.
"""

from __future__ import annotations

import os

from wherry.linux import namespaces, process, signals, sockets
from wherry.linux.cgroups import CgroupError
from wherry.runtime import hooks, init_layers, init_userns
from wherry.runtime.bundle_files import read_file, read_json
from wherry.runtime.init_errors import NoProgram, StartError, Step
from wherry.runtime.init_gate import Gate
from wherry.runtime.init_namespaces import Namespaces, exec_flags
from wherry.runtime.init_program import CHANNEL, Program
from wherry.runtime.init_root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from wherry.linux.cgroups.base import Cgroups

    Stdio = tuple[int, ...]
    Mappings = tuple[list[dict[str, int]], list[dict[str, int]]]

GO = b"G"
PROCESS = b"P"
HOOKS = b"H"
TERMINAL = b"T"
LISTENER = b"S"
_MESSAGE_LIMIT = 4096


class Plan:
    """What the parent hands its child."""

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
        self.spec: dict[str, Any] | None = None
        """config.json; None is the bundle's."""
        self.seccomp: bytes | None = None
        """The filter; None is the bundle's."""
        self.keep = 0
        """How many descriptors from 3 on the program is to have."""
        self.gate = -1
        """A listening SOCK_SEQPACKET socket, at which ``start`` will knock; -1: the program runs at once."""
        self.no_pivot = False
        self.state: dict[str, Any] = {}
        """For hooks, but for ``pid``."""

    @property
    def in_user_namespace(self) -> bool:
        """Whether the child forks another inside a user namespace."""
        return self.container < 0 and bool(self.request.get("user_namespace"))


def main(channel_fd: int, plan: Plan, stdio: Stdio) -> NoReturn:
    """The child's whole life before the program. ``stdio`` are its pipes, empty with a terminal."""
    try:
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
    if plan.container >= 0 or error.engine or isinstance(error, NoProgram):
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
    program = Program(
        spec["process"],
        plan.request,
        seccomp,
        spec=spec,
        keep=plan.keep,
        user_namespace=plan.in_user_namespace or bool(flags & namespaces.CLONE_NEWUSER),
    )
    if plan.container >= 0:
        spec["process"].setdefault("oomScoreAdj", plan.oom_score_adj)
        _enter_container(plan, flags, channel, program)
    else:
        _make_container(plan, spec, channel, program)


def _make_container(plan: Plan, spec: dict[str, Any], channel: sockets.Socket, program: Program) -> None:
    os.umask(0)
    linux = spec.get("linux") or {}
    own = Namespaces(linux)
    user = init_userns.of_spec(linux)
    root = Root(spec, plan.cgroups, user_namespace=user >= 0)
    if user >= 0:
        _enter_user_namespace(plan, spec, channel, program, own, root, user)
    else:
        # 1. Foreign namespaces first: they are found by the host's paths, and their rights are still ours.
        own.join()
        # 2. Then our own, but for the cgroup namespace: its root is the group that we are in, which is not made yet.
        own.make()
        # 3. Bind sources while they still have the host's propagation, then nothing of ours reaches the host.
        root.clone_sources(_mapped_by(user, linux))
        with Step("making the mount tree a slave of the host's"):
            init_layers.detach_from_host()
        root.fd = init_layers.mount_root(plan.request["root"], _rootfs(plan))
        program.protect()
    # 4. Names and kernel settings of the new namespaces. /proc is the host's; what it shows is the caller's.
    _name(spec)
    _set_sysctls(spec)
    # 5. The file system, but for what shows the cgroup.
    root.populate()
    # 6. The parent has made the cgroup meanwhile: enter it by ourselves, which is much cheaper than being moved.
    _wait_for_go(channel)
    if user < 0:
        _enter_cgroup(plan)
    own.make_cgroup()
    root.populate_cgroups()
    _run_hooks(plan, spec, channel)
    program.resolve_user(root.fd)
    program.make_directory(root.fd)
    terminal = -1
    if plan.request["stdio"]["tty"]:
        terminal = _open_terminal(plan, channel, program, root.fd)
        root.bind_console(terminal)
    # 7. Last of all what takes rights away, then the door closes.
    root.seal()
    root.pivot(no_pivot=plan.no_pivot)
    if plan.gate < 0:
        program.enter(terminal)
    gate = Gate(plan.gate, channel, spec, plan.state)
    try:
        program.enter(terminal, gate.wait)
    except StartError as error:
        if not gate.passed:
            raise
        gate.fail(error)


def _enter_user_namespace(
    plan: Plan,
    spec: dict[str, Any],
    channel: sockets.Socket,
    program: Program,
    own: Namespaces,
    root: Root,
    user: int,
) -> None:
    """What stands between us and a process inside ``user``; returns in that one, with the root in place."""
    linux = spec["linux"]
    lifted = -1
    if os.geteuid() == 0:
        # 1. With the host's rights: foreign namespaces, bind sources, the root.
        own.join(may_fail=True)
        root.clone_sources(_mapped_by(user, linux))
        with Step("creating namespaces"):
            namespaces.unshare(namespaces.CLONE_NEWNS)
            init_layers.detach_from_host()
        lifted = init_layers.lift(
            init_layers.mount_root(plan.request["root"], _rootfs(plan), user_namespace=user),
        )
        program.protect()
    # 2. The namespace, and all others, which its root then owns.
    init_userns.enter(user)
    own.join()
    own.make(pid=plan.request["pid_namespace"] == "")
    with Step("unable to fork"):
        child = os.fork()
    if child:
        sockets.send_fds(channel, PROCESS, [os.pidfd_open(child)])
        os._exit(0)
    # 3. Inside. The death signal comes later: our parent ends now, and that is no death to follow.
    init_layers.detach_from_host()
    if lifted >= 0:
        init_layers.put_down(lifted)
        root.fd = lifted
    else:
        root.clone_sources(_mapped_by(user, linux))
        root.fd = init_layers.mount_root(plan.request["root"], _rootfs(plan))
        program.protect()


def _rootfs(plan: Plan) -> str:
    """Where the root is mounted: an overlay in the bundle, a directory on itself."""
    layers = plan.request["root"]
    return f"{plan.bundle}/rootfs" if layers["upper"] else str(layers["lower"][0])


def _mapped_by(user: int, linux: dict[str, Any]) -> Callable[[Mappings | None], int]:
    """A user namespace for an idmapped mount, by its maps (uids and gids); None are the container's own."""

    def namespace(mappings: Mappings | None) -> int:
        if mappings is not None:
            return init_userns.make(*mappings)
        if user >= 0:
            return os.dup(user)
        return init_userns.make(linux.get("uidMappings") or [], linux.get("gidMappings") or [])

    return namespace


def _run_hooks(plan: Plan, spec: dict[str, Any], channel: sockets.Socket) -> None:
    """Those before the root changes (runtime-spec, config, POSIX-platform hooks)."""
    given = spec.get("hooks") or {}
    if given.get("prestart") or given.get("createRuntime"):
        channel.send(HOOKS)
        _wait_for_go(channel)
    if given.get("createContainer"):
        state = {**plan.state, "status": "creating", "pid": os.getpid()}
        hooks.run(given["createContainer"], state, where="createContainer")


def _enter_container(plan: Plan, flags: int, channel: sockets.Socket, program: Program) -> None:
    # 1. What is the host's first: /proc, and the cgroup's directories.
    program.protect()
    _wait_for_go(channel)
    _enter_cgroup(plan)
    # 2. All namespaces at once; with the mount namespace our root and working directory become the container's.
    with Step("joining the container's namespaces"):
        namespaces.setns(plan.container, flags)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    program.resolve_user(root)
    terminal = -1
    if plan.request["stdio"]["tty"]:
        terminal = _open_terminal(plan, channel, program, root)
    program.enter(terminal)


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
