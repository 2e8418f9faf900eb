"""``exec``: a further process in a container."""

from __future__ import annotations

import os

from wherry.linux import namespaces
from wherry.runtime import init
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_namespaces import host_root
from wherry.runtime.oci import launch, machine, request, spec_file, status
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.create import CONSOLE_SOCKET, PID_FILE
from wherry.runtime.oci.creation import compile_filter
from wherry.runtime.oci.errors import Failure, strerror
from wherry.runtime.oci.exec_process import of_flags
from wherry.runtime.oci.launch import Launch
from wherry.runtime.oci.run import DETACH
from wherry.runtime.oci.signals import Interrupted, Signals
from wherry.runtime.oci.validate import validate_process
from wherry.runtime.start import Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.linux.cgroups import Cgroups
    from wherry.runtime.oci.store import Container

_FAILED = 255


def _exec(call: Call) -> int:
    try:
        container, cgroups = machine.load(call)
        _check_status(call, status.of(container, cgroups))
        return _run(call, container, cgroups)
    except Failure as error:
        raise Failure(f"exec failed: {error}", _FAILED) from error
    except Interrupted as error:
        raise Failure(f"exec failed: {error}", 128 + error.number) from error


def _check_status(call: Call, word: str) -> None:
    if word == status.STOPPED:
        raise Failure("cannot exec in a stopped container")
    if word == status.PAUSED and not call.options.flag("ignore-paused"):
        raise Failure("cannot exec in a paused container (use --ignore-paused to override)")
    if word == status.CREATING:
        raise Failure("cannot exec in a container that is being created")


def _run(call: Call, container: Container, cgroups: Cgroups) -> int:
    pid_file = launch.absolute(call.options.text("pid-file"))
    process = _process(call, container)
    validate_process(process, machine.facts())
    group = _group(container.cgroup, call.options.texts("cgroup"))
    detach = call.options.flag("detach")
    streams = Launch(process, call.options, call.report, detach=detach, pid_file=pid_file, signals=Signals())
    plan = _plan(call, container, cgroups, process)
    plan.cgroup_path = group
    plan.keep = streams.keep
    owner = (0, 0) if _enter_as_owner(plan.container) else host_root(container.config.get("linux") or {})
    start = Start(plan, cgroups)
    try:
        streams.open(owner)
        streams.fork(start)
        os.close(plan.container)
        start.make_cgroup()
        start.go()
        streams.listen(start, _no_hooks, {**container.config, "process": process}, lambda: _state(container))
        streams.write_pid_file(start.pid)
        return 0 if detach else streams.wait(start.pid)
    except BaseException as error:
        streams.abandon()
        start.undo()
        if isinstance(error, StartError):
            raise launch.translate(error) from error
        raise


def _enter_as_owner(init_fd: int) -> bool:
    """An ordinary user may enter the container's namespaces only as root of their user namespace, which is his.

    Whether we are that now, instead of who we were.
    """
    if os.geteuid() == 0:
        return False
    try:
        namespaces.setns(init_fd, namespaces.CLONE_NEWUSER)
    except OSError as error:
        raise Failure(f"joining the user namespace: {strerror(error)}") from error
    return True


def _process(call: Call, container: Container) -> dict[str, Any]:
    path = call.options.text("process")
    if not path:
        return of_flags(container.config["process"], call.options, call.arguments[1:])
    try:
        process = spec_file.read(path, "Process")
    except OSError as error:
        raise Failure(f"open {path}: {strerror(error)}") from error
    # What it does not say is the container's.
    if process.get("capabilities") is None and (given := container.config["process"].get("capabilities")):
        process["capabilities"] = given
    return process


def _plan(call: Call, container: Container, cgroups: Cgroups, process: dict[str, Any]) -> init.Plan:
    bpf = compile_filter(container.config, machine.store(call))
    bundle = container.record["bundle"]
    wanted = request.of_exec(container.id, bundle, container.pid, process, seccomp=bpf, report=call.report)
    spaces = (container.config.get("linux") or {}).get("namespaces") or ()
    wanted["user_namespace"] = any(entry["type"] == "user" for entry in spaces)
    plan = init.Plan(bundle, wanted, cgroups)
    init_fd = status.open_init(container)
    if init_fd is None:
        raise Failure("cannot exec in a stopped container")
    plan.container = init_fd
    plan.oom_score_adj = container.config["process"].get("oomScoreAdj")
    plan.spec = {**container.config, "process": process}
    plan.seccomp = bpf
    plan.state = _state(container)
    return plan


def _state(container: Container) -> dict[str, Any]:
    return container.state(status.RUNNING, container.pid)


def _no_hooks(name: str) -> None:
    """An exec has none."""


def _group(group: str, wanted: tuple[str, ...]) -> str:
    """The container's group, or those below it that ``--cgroup`` names; see ``linux.cgroups.paths`` for the form."""
    if not wanted:
        return group
    if not group:
        raise Failure("the container has no cgroup")
    first, *others = group.split("\n")
    lines: list[str] = []
    for text in wanted:
        controllers, colon, below = text.rpartition(":")
        if ":" in controllers:
            raise Failure(f"invalid --cgroup argument: {text}")
        if not colon and len(wanted) > 1:
            raise Failure(f"invalid --cgroup argument: {text} (missing <controller>: prefix)")
        if not colon:
            return "\n".join([_below(first, below), *(_below(line, below) for line in others)])
        for controller in controllers.split(","):
            own = next((line.partition(":")[2] for line in others if line.startswith(f"{controller}:")), first)
            lines.append(f"{controller}:{_below(own, below)}")
    return "\n".join([first, *lines, *others])


def _below(group: str, path: str) -> str:
    joined = os.path.normpath(f"{group}/{path}")
    if joined != group and not joined.startswith(f"{group}/"):
        raise Failure(f"bad sub cgroup path: {path}")
    return joined


COMMAND = Command(
    "exec",
    _exec,
    usage="execute new process inside the container",
    arguments="""<container-id> <command> [command options]  || -p process.json <container-id>

Where "<container-id>" is the name for the instance of the container and
"<command>" is the command to be executed in the container.
"<command>" can't be empty unless a "-p" flag provided.

EXAMPLE:
For example, if the container is configured to run the linux ps command the
following will output a list of processes running in the container:

       # wherry-oci exec <container-id> ps""",
    flags=(
        CONSOLE_SOCKET,
        Flag("cwd", "current working directory in the container"),
        Flag("env, e", "set environment variables", "strings"),
        Flag("tty, t", "allocate a pseudo-TTY", "bool"),
        Flag("user, u", "UID (format: <uid>[:<gid>])"),
        Flag("additional-gids, g", "additional gids", "ints"),
        Flag("process, p", "path to the process.json"),
        DETACH,
        PID_FILE,
        Flag("process-label", "set the asm process label for the process commonly used with selinux"),
        Flag("apparmor", "set the apparmor profile for the process"),
        Flag("no-new-privs", "set the no new privileges value for the process", "bool"),
        Flag("cap, c", "add a capability to the bounding set for the process", "strings"),
        Flag(
            "preserve-fds",
            "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)",
            "int",
        ),
        Flag(
            "cgroup",
            "run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>.",
            "strings",
        ),
        Flag("ignore-paused", "allow exec in a paused container", "bool"),
    ),
    least=1,
    most=None,
    in_order=True,
)
