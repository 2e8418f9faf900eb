"""From a bundle to a container: what ``create``, ``run`` and ``restore`` have in common, and how it is all undone.

1. config.json: types, schema, runc's checks, the root directory, seccomp       nothing has been made
2. <root>/<id>/, the gate                                                       the id is ours
3. fork, control group, the record                                              the container is ``creating``
4. mounts, hooks, the terminal                                                  ``created``, or running
"""

from __future__ import annotations

import os
import time

from wherry.linux import pidfd, process, seccomp
from wherry.linux.cgroups import CgroupError
from wherry.runtime import hooks, init
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_namespaces import host_root
from wherry.runtime.oci import gate, launch, machine, notify, request, spec_file, status, store
from wherry.runtime.oci.destroy import run_all
from wherry.runtime.oci.errors import Failure, strerror
from wherry.runtime.oci.launch import Launch
from wherry.runtime.oci.signals import Signals
from wherry.runtime.oci.store import Container
from wherry.runtime.oci.validate import validate, validate_process
from wherry.runtime.start import Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.linux.cgroups import Cgroups
    from wherry.runtime.oci.arguments import Call

    Json = dict[str, Any]


class Creation:
    """One container on its way. Every method raises Failure; ``undo`` takes back what there is by then."""

    def __init__(self, call: Call, *, detach: bool, gated: bool, reaper: bool) -> None:
        self._call = call
        self._signals = Signals()
        self._report = call.report
        self._detach = detach
        self.config: Json = {}
        self.launch: Launch | None = None
        self.container: Container | None = None
        self.cgroups: Cgroups = machine.groups(systemd=call.settings.flag("systemd-cgroup"))
        self._gated = gated
        self._reaper = reaper
        self._start: Start | None = None
        self._group = ""
        """The group that ``make_by`` has made."""
        self._host = os.environ.get("NOTIFY_SOCKET", "")
        self._listener: notify.Socket | None = None

    def prepare(self) -> None:
        """Steps 1 and 2."""
        call = self._call
        # Meant from where the caller is; everything else from the bundle.
        pid_file = launch.absolute(call.options.text("pid-file"))
        bundle = spec_file.enter_bundle(call.options.text("bundle"))
        self.config = config = spec_file.read_config()
        validate_process(config.get("process"), machine.facts())
        container_id = call.id
        for warning in validate(config, machine.facts(), no_pivot=call.options.flag("no-pivot")):
            self._report.warning(warning)
        self._make_absolute(bundle)
        store.check_id(container_id)
        rootfs = _check_root(config["root"]["path"])
        path = self._resolve_group(container_id)
        root = machine.store(call)
        directory = root.reserve(container_id)
        self.container = Container(
            directory,
            {
                "id": container_id,
                "bundle": bundle,
                "rootfs": rootfs,
                "created": _now(),
                "pid": -1,
                "start": 0,
                "cgroup": path,
                "systemd": call.settings.flag("systemd-cgroup"),
                "creator": [os.getpid(), pidfd.start_time(os.getpid())],
                "config": config,
            },
        )
        self.launch = Launch(
            config["process"],
            call.options,
            call.report,
            detach=self._detach,
            pid_file=pid_file,
            listening=_listen_fds(),
            signals=self._signals,
        )

    def make(self) -> None:
        """Steps 3 and 4."""
        streams, container = self._prepared()
        plan = self._plan(container, streams)
        # Whoever forks its init into a user namespace gets it back as a grandchild.
        if self._reaper or plan.in_user_namespace:
            process.set_subreaper()
        listener = None
        if self._gated or self._has_hooks("startContainer"):
            listener = gate.listen(container.gate)
            plan.gate = listener.fileno()
        streams.open(host_root(self.config.get("linux") or {}))
        self._start = start = Start(plan, self.cgroups)
        try:
            streams.fork(start)
            if listener is not None:
                listener.close()
            start.make_cgroup()
            container.record["pid"], container.record["start"] = start.pid, start.start_time
            container.save()
            start.go()
            streams.listen(start, self._run_hooks, self.config, lambda: container.state(status.CREATING, start.pid))
        except StartError as error:
            raise launch.translate(error) from error
        container.record["creator"] = None
        container.save()

    def make_by(self, make: Callable[[Container], int]) -> None:
        """In place of ``make``: somebody else makes the processes; ``make`` returns the pid of the first."""
        _, container = self._prepared()
        process.set_subreaper()
        try:
            if container.cgroup:
                self.cgroups.create(container.cgroup)
                self._group = container.cgroup
            container.record["pid"] = pid = make(container)
            if container.cgroup:
                self.cgroups.attach(container.cgroup, pid)
        except CgroupError as error:
            raise Failure(str(error)) from error
        container.record["start"] = pidfd.start_time(pid)
        container.record["creator"] = None
        container.save()

    def run(self) -> None:
        """Of ``run``: the program is on its way, or waits only because hooks come before it."""
        _, container = self._prepared()
        if self._has_hooks("startContainer"):
            gate.open_(container.gate)
        run_all(container, "poststart", container.state(status.RUNNING, container.pid), self._report)

    def finish(self) -> int:
        """The pid file; in the foreground, wait for the end. The exit code."""
        streams, container = self._prepared()
        streams.write_pid_file(container.pid)
        if self._listener is not None:
            notify.forward(self._listener, self._host, container.pid, container.record["start"])
        return 0 if self._detach else streams.wait(container.pid)

    def undo(self) -> None:
        """Nothing has been made, afterwards."""
        if self.launch is not None:
            self.launch.abandon()
        if self._start is not None:
            self._start.undo()
        self._undo_group()
        if self.container is not None:
            self.container.remove()
            run_all(self.container, "poststop", self.container.state(status.STOPPED, 0), self._report)

    def _undo_group(self) -> None:
        if not self._group:
            return
        try:
            self.cgroups.kill(self._group)
            self.cgroups.remove(self._group)
        except CgroupError as error:
            self._report.warning(str(error))

    def _prepared(self) -> tuple[Launch, Container]:
        if self.launch is None or self.container is None:
            raise Failure("nothing has been prepared")
        return self.launch, self.container

    def _has_hooks(self, name: str) -> bool:
        return bool((self.config.get("hooks") or {}).get(name))

    def _run_hooks(self, name: str) -> None:
        _, container = self._prepared()
        given = (self.config.get("hooks") or {}).get(name)
        if given and self._start is not None:
            hooks.run(given, container.state(status.CREATING, self._start.pid), where=name)

    def _make_absolute(self, bundle: str) -> None:
        """What config.json names relative to the bundle."""
        for mount in self.config.get("mounts") or ():
            if not mount["destination"].startswith("/"):
                mount["destination"] = f"/{mount['destination']}"
            options, source = mount.get("options") or (), mount.get("source") or ""
            if ("bind" in options or "rbind" in options or mount.get("type") == "bind") and not source.startswith("/"):
                mount["source"] = os.path.normpath(f"{bundle}/{source}")
        root = self.config["root"]
        root["path"] = os.path.normpath(os.path.join(bundle, root["path"]))

    def _resolve_group(self, container_id: str) -> str:
        linux = self.config.get("linux") or {}
        resources = linux.get("resources") or {}
        try:
            self.cgroups.validate(resources)
            path = self.cgroups.resolve(linux.get("cgroupsPath") or "", container_id, resources)
            self._check_group(path)
        except CgroupError as error:
            raise Failure(str(error)) from error
        return path

    def _check_group(self, path: str) -> None:
        """It may be there, but not in use: its end would be the end of others, and what is frozen does not start."""
        if not path or not self.cgroups.exists(path):
            return
        if pids := self.cgroups.procs(path):
            raise Failure(f"container's cgroup is not empty: {len(pids)} process(es) found")
        if self.cgroups.frozen(path):
            raise Failure("container's cgroup unexpectedly frozen")

    def _plan(self, container: Container, streams: Launch) -> init.Plan:
        call, config = self._call, self.config
        bpf = compile_filter(config, machine.store(call))
        if self._host:
            config = {**config, "process": dict(config["process"])}
            notify.make_directory(container.directory)
            notify.add_to(config, container.directory)
            if not self._gated:
                self._listener = notify.listen(container.directory)
        wanted = request.of_container(
            container.id, config, container.record["rootfs"], container.cgroup, seccomp=bpf, report=self._report
        )
        wanted["no_new_keyring"] = call.options.flag("no-new-keyring")
        wanted["listen_fds"] = streams.listening
        plan = init.Plan(container.record["bundle"], wanted, self.cgroups)
        plan.spec = config
        plan.seccomp = bpf
        plan.cgroup_path = container.cgroup
        plan.keep = streams.keep
        plan.no_pivot = call.options.flag("no-pivot")
        plan.state = container.state(status.CREATING, 0)
        return plan


def compile_filter(config: Json, root: store.Store) -> bytes:
    """The seccomp filter of a configuration; empty for none. Raises Failure."""
    given = (config.get("linux") or {}).get("seccomp")
    if not given:
        return b""
    try:
        return seccomp.compile_oci(given, f"{root.root}/{store.SECCOMP}")
    except seccomp.SeccompError as error:
        raise Failure(str(error)) from error


def _check_root(path: str) -> str:
    """The root directory: there, and itself rather than a link that could be turned. Raises Failure."""
    try:
        os.stat(path)
    except OSError as error:
        raise Failure(f"invalid rootfs: stat {path}: {strerror(error)}") from error
    if os.path.realpath(path) != path:
        raise Failure("invalid rootfs: not an absolute path, or a symlink")
    if not os.path.isdir(path):
        raise Failure(f"invalid rootfs: {path}: not a directory")
    return path


def _listen_fds() -> int:
    """How many sockets systemd has passed to us (sd_listen_fds(3))."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit():
        return 0
    return int(count)


def _now() -> str:
    """RFC 3339 with nanoseconds, UTC."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"
