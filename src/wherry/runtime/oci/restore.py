"""``restore``: a container whose processes come out of a checkpoint's files, by criu(8)."""

from __future__ import annotations

import os

from wherry.runtime.oci import criu
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.create import BUNDLE, CONSOLE_SOCKET, FLAGS, PID_FILE
from wherry.runtime.oci.creation import Creation
from wherry.runtime.oci.destroy import destroy
from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.run import DETACH, NO_SUBREAPER
from wherry.runtime.oci.store import Container


def _restore(call: Call) -> int:
    directory = criu.images(call, make=False)
    creation = Creation(call, detach=call.options.flag("detach"), gated=False, reaper=True)
    try:
        creation.prepare()
        creation.make_by(lambda container: _make(call, container, directory))
        code = creation.finish()
    except BaseException:
        creation.undo()
        raise
    if not call.options.flag("detach") and creation.container is not None:
        destroy(creation.container, creation.cgroups, call.report)
    return code


def _make(call: Call, container: Container, directory: str) -> int:
    """Have criu make the processes; the pid of the first."""
    if container.config["process"].get("terminal"):
        raise Failure("a container with a terminal cannot be restored")
    pid_file = f"{container.directory}/restored.pid"
    options = [
        *("--restore-detached", "--root", container.record["rootfs"], "--pidfile", pid_file),
        *criu.common_options(call),
        *criu.external_mounts(container, restoring=True),
    ]
    for name in ("lsm-profile", "lsm-mount-context"):
        if value := call.options.text(name):
            options += [f"--{name}", value]
    criu.run(call, "restore", directory, options)
    with open(pid_file, encoding="ascii") as file:
        pid = int(file.read())
    os.unlink(pid_file)
    return pid


COMMAND = Command(
    "restore",
    _restore,
    usage="restore a container from a previous checkpoint",
    arguments="""<container-id>

Where "<container-id>" is the name for the instance of the container to be
restored.""",
    description="""Restores the saved state of the container instance that was previously saved
using the wherry-oci checkpoint command.""",
    flags=(
        CONSOLE_SOCKET,
        Flag("image-path", "path to criu image files for restoring"),
        Flag("work-path", "path for saving work files and logs"),
        BUNDLE,
        DETACH,
        PID_FILE,
        NO_SUBREAPER,
        *FLAGS,
        Flag("lsm-profile", "Specify an LSM profile to be used during restore in the form of TYPE:NAME."),
        Flag("lsm-mount-context", "Specify an LSM mount context to be used during restore."),
        *criu.FLAGS,
    ),
)
