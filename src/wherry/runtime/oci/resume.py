"""``resume``: the end of ``pause``."""

from __future__ import annotations

from wherry.linux.cgroups import CgroupError
from wherry.runtime.oci import machine, status
from wherry.runtime.oci.arguments import Call, Command
from wherry.runtime.oci.errors import Failure


def _resume(call: Call) -> int:
    container, cgroups = machine.load(call)
    if status.of(container, cgroups) != status.PAUSED:
        raise Failure("container not paused")
    try:
        cgroups.thaw(container.cgroup)
    except CgroupError as error:
        raise Failure(str(error)) from error
    return 0


COMMAND = Command(
    "resume",
    _resume,
    usage="resumes all processes that have been previously paused",
    arguments="""<container-id>

Where "<container-id>" is the name for the instance of the container to be
resumed.""",
    description="""The resume command resumes all processes in the instance of the container.

Use wherry-oci list to identify instances of containers and their current status.""",
)
