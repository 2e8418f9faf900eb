"""How a child becomes the first process of a new container: namespaces, root, hooks, and the program.

In a user namespace there are two children. The first does what needs the host's rights, forks the second inside as its
sibling, and ends; the second is the container's first process.
"""

from __future__ import annotations

import os

from wherry.linux import namespaces, process, sockets
from wherry.runtime import hooks, init_layers, init_userns
from wherry.runtime.init_errors import StartError, Step
from wherry.runtime.init_gate import Gate
from wherry.runtime.init_namespaces import Namespaces
from wherry.runtime.init_plan import (
    HOOKS,
    MOUNTS,
    Plan,
    enter_cgroup,
    fork_inside,
    open_cgroup,
    open_terminal,
    wait_for_go,
)
from wherry.runtime.init_program import Program
from wherry.runtime.init_root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Mappings = tuple[list[dict[str, int]], list[dict[str, int]]]


class Container:
    """The container under construction."""

    def __init__(self, plan: Plan, spec: dict[str, Any], channel: sockets.Socket, program: Program) -> None:
        self._plan = plan
        self._spec = spec
        self._linux: dict[str, Any] = spec.get("linux") or {}
        self._channel = channel
        self._program = program
        self._own = Namespaces(self._linux)
        self._user = init_userns.of_spec(self._linux)
        self._root = Root(spec, plan.cgroups, user_namespace=self._user >= 0, bundle=plan.bundle)
        self._root.cgroup_path = plan.cgroup_path

    def run(self) -> None:
        """The order of things. Returns never; raises StartError up to the moment that the program replaces us."""
        plan, root, program = self._plan, self._root, self._program
        os.umask(0)
        if plan.gate >= 0:
            process.set_title("wherry-oci init")  # it may stand there for long
        if self._user >= 0:
            self._isolate_as_user()
        else:
            self._isolate()
        if plan.request["root"]["upper"]:
            self._share_mounts()
        # 4. Names and kernel settings of the new namespaces. /proc is the host's; what it shows is the caller's.
        _name(self._spec)
        _set_sysctls(self._linux)
        # 5. The file system, but for what shows the cgroup.
        root.populate()
        # 6. The parent has made the cgroup meanwhile: enter it by ourselves, which is much cheaper than being moved.
        wait_for_go(self._channel)
        if self._user < 0:
            enter_cgroup(open_cgroup(plan))
        self._own.make_cgroup()
        root.populate_cgroups()
        self._run_hooks()
        program.resolve_user(root.fd)
        program.make_directory(root.fd)
        terminal = -1
        if plan.request["stdio"]["tty"]:
            terminal = open_terminal(plan, self._channel, program, root.fd)
            root.bind_console(terminal)
        # 7. Last of all what takes rights away, then the door closes.
        root.seal()
        root.pivot(no_pivot=plan.no_pivot)
        self._enter(terminal)

    def _isolate(self) -> None:
        # 1. Foreign namespaces first: they are found by the host's paths, and their rights are still ours.
        self._own.join()
        # 2. Then our own, but for the cgroup namespace: its root is the group that we are in, which is not made yet.
        self._own.make()
        # 3. Bind sources while they still have the host's propagation, then nothing of ours reaches the host.
        self._root.clone_sources(self._mapped_by)
        with Step("making the mount tree a slave of the host's"):
            init_layers.detach_from_host()
        self._root.fd = self._mount_root()
        self._program.protect()

    def _isolate_as_user(self) -> None:
        """The same in a user namespace; returns in another process than it was called in."""
        lifted = -1
        if os.geteuid() == 0:
            # 1. With the host's rights: foreign namespaces, bind sources, the root.
            self._own.join(may_fail=True)
            self._root.clone_sources(self._mapped_by)
            with Step("creating namespaces"):
                namespaces.unshare(namespaces.CLONE_NEWNS)
                init_layers.detach_from_host()
            lifted = init_layers.lift(self._mount_root())
            self._program.protect()
        # 2. The user namespace, and all others, which its root then owns.
        init_userns.enter(self._user)
        self._own.join()
        self._own.make(pid=self._plan.request["pid_namespace"] == "")
        fork_inside(self._channel)
        # 3. Inside.
        init_layers.detach_from_host()
        if lifted >= 0:
            init_layers.put_down(lifted)
            self._root.fd = lifted
            return
        self._root.clone_sources(self._mapped_by)
        self._root.fd = self._mount_root()
        self._program.protect()

    def _share_mounts(self) -> None:
        """Whoever holds the mounts last unmounts the root, and waits until it is written: our I/O limits are for us."""
        fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        sockets.send_fds(self._channel, MOUNTS, [fd])
        os.close(fd)

    def _mount_root(self) -> int:
        """An overlay in the bundle, or a directory on itself; a descriptor of it."""
        layers = self._plan.request["root"]
        user = self._user if layers.get("idmap") else -1
        if layers["upper"]:
            return init_layers.mount_overlay(layers, f"{self._plan.bundle}/rootfs", user_namespace=user)
        dependent = "slave" in self._linux.get("rootfsPropagation", "")
        return init_layers.mount_directory(layers["lower"][0], private=not dependent, user_namespace=user)

    def _mapped_by(self, mappings: Mappings | None) -> int:
        """A user namespace for an idmapped mount, by its maps (uids and gids); None are the container's own."""
        if mappings is not None:
            return init_userns.make(*mappings)
        if self._user >= 0:
            return os.dup(self._user)
        return init_userns.make(self._linux.get("uidMappings") or [], self._linux.get("gidMappings") or [])

    def _run_hooks(self) -> None:
        """Those before the root changes (runtime-spec, config, POSIX-platform hooks)."""
        given = self._spec.get("hooks") or {}
        if given.get("prestart") or given.get("createRuntime"):
            self._channel.send(HOOKS)
            wait_for_go(self._channel)
        if given.get("createContainer"):
            state = {**self._plan.state, "status": "creating", "pid": os.getpid()}
            hooks.run(given["createContainer"], state, where="createContainer")

    def _enter(self, terminal: int) -> None:
        if self._plan.gate < 0:
            self._program.enter(terminal)
            return
        gate = Gate(self._plan.gate, self._channel, self._spec, self._plan.state)
        try:
            self._program.enter(terminal, gate.wait)
        except StartError as error:
            if not gate.passed:
                raise
            gate.fail(error)


def _name(spec: dict[str, Any]) -> None:
    if spec.get("hostname"):
        with Step("sethostname"):
            process.set_host_name(spec["hostname"])
    if spec.get("domainname"):
        with Step("setdomainname"):
            process.set_domain_name(spec["domainname"])


def _set_sysctls(linux: dict[str, Any]) -> None:
    for name, value in (linux.get("sysctl") or {}).items():
        path = "/proc/sys/" + name.replace(".", "/")
        with Step(f"open {path}"):
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            with Step(f"write {path}"):
                os.write(fd, value.encode())
        finally:
            os.close(fd)
