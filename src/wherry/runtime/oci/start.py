"""``start``: let a created container run its program."""

from __future__ import annotations

import os

from wherry.runtime.oci import gate, machine, notify, status
from wherry.runtime.oci.arguments import Call, Command
from wherry.runtime.oci.destroy import run_all
from wherry.runtime.oci.errors import Failure


def _start(call: Call) -> int:
    container, cgroups = machine.load(call)
    word = status.of(container, cgroups)
    if word == status.STOPPED:
        raise Failure("cannot start a container that has stopped")
    if word == status.RUNNING:
        raise Failure("cannot start an already running container")
    if word != status.CREATED:
        raise Failure(f"cannot start a container in the {word} state")
    host = os.environ.get("NOTIFY_SOCKET", "")
    listener = notify.listen(container.directory) if host else None
    gate.open_(container.gate)
    run_all(container, "poststart", container.state(status.RUNNING, container.pid), call.report)
    if listener is not None:
        notify.forward(listener, host, container.pid, container.record["start"])
    return 0


COMMAND = Command(
    "start",
    _start,
    usage="executes the user defined process in a created container",
    arguments="""<container-id>

Where "<container-id>" is your name for the instance of the container that you
are starting. The name you provide for the container instance must be unique on
your host.""",
    description="The start command executes the user defined process in a created container.",
)
