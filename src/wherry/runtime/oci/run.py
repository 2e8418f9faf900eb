"""``run``: ``create`` and ``start`` in one; in the foreground until the container ends, and then it is deleted."""

from __future__ import annotations

from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.create import ARGUMENTS, BUNDLE, CONSOLE_SOCKET, DESCRIPTION, FLAGS, PID_FILE, failure
from wherry.runtime.oci.creation import Creation
from wherry.runtime.oci.destroy import destroy
from wherry.runtime.oci.errors import Failure

NO_SUBREAPER = Flag("no-subreaper", "disable the use of the subreaper used to reap reparented processes", "bool")
DETACH = Flag("detach, d", "detach from the container's process", "bool")


def _run(call: Call) -> int:
    detach = call.options.flag("detach")
    reaper = not call.options.flag("no-subreaper")
    creation = Creation(call, detach=detach, gated=False, reaper=reaper)
    try:
        creation.prepare()
        creation.make()
        creation.run()
        code = creation.finish()
    except BaseException as error:
        creation.undo()
        raise failure("run", error) from error
    if not detach and not call.options.flag("keep") and creation.container is not None:
        try:
            destroy(creation.container, creation.cgroups, call.report)
        except Failure as error:
            call.report.error(str(error))
    return code


COMMAND = Command(
    "run",
    _run,
    usage="create and run a container",
    arguments=ARGUMENTS,
    description=DESCRIPTION.format("run"),
    flags=(
        BUNDLE,
        CONSOLE_SOCKET,
        DETACH,
        Flag("keep", "do not delete the container after it exits", "bool"),
        PID_FILE,
        NO_SUBREAPER,
        *FLAGS,
    ),
)
