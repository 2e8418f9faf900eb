"""``checkpoint``: store a running container's processes in files, by criu(8)."""

from __future__ import annotations

import os

from wherry.runtime.oci import criu, machine, status
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.destroy import destroy
from wherry.runtime.oci.errors import Failure


def _checkpoint(call: Call) -> int:
    container, cgroups = machine.load(call)
    word = status.of(container, cgroups)
    if word not in (status.RUNNING, status.PAUSED):
        raise Failure(f"Container cannot be checkpointed in {word} state")
    directory = criu.images(call, make=True)
    options = [
        *("--tree", str(container.pid), "--root", container.record["rootfs"]),
        *criu.common_options(call),
        *criu.external_mounts(container, restoring=False),
        *_own_options(call, directory),
    ]
    verb = "pre-dump" if call.options.flag("pre-dump") else "dump"
    criu.run(call, verb, directory, options, pass_fds=_status_fds(call))
    if verb == "dump" and not call.options.flag("leave-running"):
        destroy(container, cgroups, call.report)
    return 0


def _own_options(call: Call, directory: str) -> list[str]:
    given = call.options
    options: list[str] = []
    if given.flag("leave-running"):
        options.append("--leave-running")
    if parent := given.text("parent-path"):
        if os.path.isabs(parent):
            raise Failure("--parent-path must be relative")
        if not os.path.isdir(f"{directory}/{parent}"):
            raise Failure(f"invalid --parent-path: stat {directory}/{parent}: no such file or directory")
        options += ["--prev-images-dir", parent, "--track-mem"]
    if given.flag("pre-dump"):
        options.append("--track-mem")
    if server := given.text("page-server"):
        address, colon, port = server.rpartition(":")
        if not colon or not address or not port.isdigit():
            raise Failure("Use --page-server ADDRESS:PORT to specify page server")
        options += ["--page-server", "--address", address, "--port", port]
    for fd in _status_fds(call):
        options += ["--status-fd", str(fd)]
    return options


def _status_fds(call: Call) -> list[int]:
    fd = call.options.number("status-fd")
    return [fd] if fd >= 0 else []


COMMAND = Command(
    "checkpoint",
    _checkpoint,
    usage="checkpoint a running container",
    arguments="""<container-id>

Where "<container-id>" is the name for the instance of the container to be
checkpointed.""",
    description="The checkpoint command saves the state of the container instance.",
    flags=(
        Flag("image-path", "path for saving criu image files"),
        Flag("work-path", "path for saving work files and logs"),
        Flag("parent-path", "path for previous criu image files in pre-dump"),
        Flag("leave-running", "leave the process running after checkpointing", "bool"),
        Flag("status-fd", "criu writes \\0 to this FD once lazy-pages is ready", "int", -1),
        Flag("page-server", "ADDRESS:PORT of the page server"),
        Flag("pre-dump", "dump container's memory information only, leave the container running after this", "bool"),
        *criu.FLAGS,
    ),
)
