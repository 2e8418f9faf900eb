"""A container, or an exec, that another OCI runtime makes under a shim of ours: runc, crun, what the daemon knows of.

    create    in a child with a mount namespace of its own: the overlay is mounted at <exec-root>/rootfs (each child
              sees its own there, and the root of a user namespace may pass those directories), config.json is
              completed, the runtime executed. It hands the container a copy of that namespace, and when it ends the
              last trace of the overlay goes from the host.
    start     when the record is written
    delete    when the container's first process has ended

    exec --detach for a further process

What the runtime leaves running becomes a child of the shim, which is a subreaper; signals, streams and the end are then
as with our own. Loaded by the shims that need it alone, before anything else happens there.
"""

from __future__ import annotations

import contextlib
import errno
import os

from wherry.linux import mounts, namespaces, pidfd, pty, signals, sockets
from wherry.linux.cgroups import CgroupError
from wherry.linux.mounts import MS_SLAVE
from wherry.runtime import init_layers, init_userns
from wherry.runtime.bundle_files import read_file, read_json, write_json
from wherry.runtime.foreign_call import Call
from wherry.runtime.foreign_config import complete_process, make_directory
from wherry.runtime.init_errors import StartError, Step
from wherry.runtime.init_namespaces import host_root
from wherry.runtime.shim_start import Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.runtime.start import Ahead

_CREATE = "failed to create task for container: failed to create shim task: OCI runtime create failed"
_START = "OCI runtime start failed"
_EXEC = "OCI runtime exec failed"
_DELETE = "OCI runtime delete failed"


class ForeignStarter(Starter):
    """As its base, by the command ``request["runtime"]``."""

    _call: Call | None = None

    def run(self, ahead: Ahead | None) -> None:  # noqa: ARG002
        """The order of things; see the module. ``ahead`` is never given: such a shim is forked for its request."""
        if self._request["exec"]:
            self._exec()
        else:
            self._create()
            self._record()
            self._call = self._command("start", self._request["id"], doing=_START)
            self._call.fork()
            self._call.wait()

    def undo(self) -> None:
        """Take back whatever has been done."""
        if self._call is not None:
            self._call.kill()
        if not self._request["exec"]:
            self._delete()
            self._remove_cgroup()
        if self.child.pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child.pid, signals.SIGKILL)
        _reap()
        super().undo()

    def _create(self) -> None:
        child, request = self.child, self._request
        child.own_pid_namespace = request["pid_namespace"] == ""
        self._forget_earlier()
        self._launch("create", [request["id"]], doing=_CREATE, options=["--bundle", self._bundle])
        child.cgroup = child.joined = request["cgroup"]
        child.finish = self._delete

    def _exec(self) -> None:
        target = self._request["exec"]
        container, process = self._find_container(target)
        self._close.append(process)
        options = ["--detach", "--process", f"{self._bundle}/process.json"]
        self._launch("exec", [os.path.basename(target["bundle"])], doing=_EXEC, options=options)
        self.child.joined = container["joined"]
        self._record()

    def _launch(self, verb: str, arguments: list[str], *, doing: str, options: list[str]) -> None:
        """Run the verb that brings a process, and find that one."""
        options = [*options, "--pid-file", f"{self._bundle}/runtime.pid"]
        listener = sockets.listen(f"{self._bundle}/console.sock") if self._request["stdio"]["tty"] else None
        if listener is not None:
            # By descriptor: the runtime may take no path of more than 107 bytes.
            directory = os.open(self._bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._close.append(directory)
            options += ["--console-socket", f"/proc/{os.getpid()}/fd/{directory}/console.sock"]
        self._call = self._command(verb, *options, *arguments, doing=doing)
        self._call.fork(self._pipes(), self._prepare_exec if verb == "exec" else self._prepare_create)
        self._prepare()
        self._call.wait()
        child = self.child
        child.pid = int(read_file(f"{self._bundle}/runtime.pid"))
        child.start_time = pidfd.start_time(child.pid)
        if listener is not None:
            self._take_terminal(listener)
        for fd in self._close:
            os.close(fd)
        self._close.clear()

    def _prepare_create(self) -> None:
        """In the child: the root in place, and a configuration that says everything."""
        spec = read_json(f"{self._bundle}/config.json")
        linux = spec.get("linux") or {}
        place = _root_directory(self._bundle)
        _leave_host(place)
        layers = self._request["root"]
        user = init_userns.of_spec(linux) if layers["idmap"] else -1
        root = init_layers.mount_root(layers, place, user_namespace=user)
        spec["root"]["path"] = place
        complete_process(spec["process"], self._request, root)
        make_directory(spec["process"]["cwd"], root, host_root(linux))
        os.close(root)
        write_json(f"{self._bundle}/config.json", spec)

    def _prepare_exec(self) -> None:
        process = read_json(f"{self._bundle}/config.json")["process"]
        with Step("the container's root"):
            root = os.open(f"/proc/{self._request['exec']['pid']}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _, container = self._find_container(self._request["exec"])  # still the same: its root was the right one
        os.close(container)
        complete_process(process, self._request, root)
        os.close(root)
        write_json(f"{self._bundle}/process.json", process)

    def _take_terminal(self, listener: sockets.Socket) -> None:
        """The runtime has sent it before it ended."""
        try:
            connection = sockets.accept(listener)
            _, fds = sockets.recv_fds(connection, 4096, 1)
        except BlockingIOError:
            fds = []
        if not fds:
            raise StartError(f"{self._request['runtime'][0]} sent no terminal to the console socket")
        connection.close()
        listener.close()
        os.unlink(f"{self._bundle}/console.sock")
        stdio = self._request["stdio"]
        if stdio["height"] and stdio["width"]:
            pty.resize(fds[0], stdio["height"], stdio["width"])
        self._adopt_terminal(fds[0])

    def _record(self) -> None:
        write_json(f"{self._bundle}/shim.json", self.child.record())

    def _forget_earlier(self) -> None:
        """What a crash has left of an earlier run, or nothing."""
        words = self._request["runtime"]
        root = words[words.index("--root") + 1] if "--root" in words else ""
        if root and os.path.exists(f"{root}/{self._request['id']}"):
            self._delete()

    def _delete(self) -> None:
        call = self._command("delete", "--force", self._request["id"], doing=_DELETE)
        with contextlib.suppress(StartError):  # nobody is left to be told, and what is left is found at the next start
            call.fork()
            call.wait()

    def _remove_cgroup(self) -> None:
        """The runtime's own undoing may have failed too."""
        path = self._request["cgroup"]
        if path and self._cgroups is not None:
            with contextlib.suppress(CgroupError):
                self._cgroups.kill(path)
                self._cgroups.remove(path)

    def _command(self, verb: str, *arguments: str, doing: str) -> Call:
        log = f"{self._bundle}/runtime.log"
        words = [*self._request["runtime"], "--log", log, "--log-format", "json", verb, *arguments]
        return Call(words, log=log, doing=doing)


def _root_directory(bundle: str) -> str:
    """Where to mount the root: not in the bundle, which is ours alone."""
    place = f"{os.path.dirname(os.path.dirname(bundle))}/rootfs"
    os.makedirs(place, mode=0o711, exist_ok=True)
    return place


def _leave_host(directory: str) -> None:
    """A mount namespace in which what is mounted on ``directory`` does not reach the host.

    Only the mount that holds it is cut off: a bind that is to share its mounts with the host still does.
    """
    with Step("creating a mount namespace"):
        namespaces.unshare(namespaces.CLONE_NEWNS)
    place = os.path.realpath(directory)
    while True:
        try:
            mounts.mount(None, place, None, MS_SLAVE)
        except OSError as error:
            if error.errno != errno.EINVAL or place == "/":
                raise
        else:
            return
        place = os.path.dirname(place)


def _reap() -> None:
    """Collect what the runtime has left to us and has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
