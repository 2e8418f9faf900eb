"""``pause``: every process of the container stands still."""

from __future__ import annotations

from wherry.linux.cgroups import CgroupError
from wherry.runtime.oci import machine, status
from wherry.runtime.oci.arguments import Call, Command
from wherry.runtime.oci.errors import Failure


def _pause(call: Call) -> int:
    container, cgroups = machine.load(call)
    if status.of(container, cgroups) not in (status.RUNNING, status.CREATED):
        raise Failure("container not running")
    try:
        cgroups.freeze(container.limited_by)
    except CgroupError as error:
        raise Failure(str(error)) from error
    return 0


COMMAND = Command(
    "pause",
    _pause,
    usage="pause suspends all processes inside the container",
    arguments="""<container-id>

Where "<container-id>" is the name for the instance of the container to be
paused. """,
    description="""The pause command suspends all processes in the instance of the container.

Use wherry-oci list to identify instances of containers and their current status.""",
)
