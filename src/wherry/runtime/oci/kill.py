"""``kill``: a signal for init, or for every process of the container."""

from __future__ import annotations

import os

from wherry.linux import pidfd, signals
from wherry.linux.cgroups import CgroupError
from wherry.runtime.oci import machine, signal_names, status
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.errors import Failure, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.linux.cgroups import Cgroups
    from wherry.runtime.oci.store import Container


def _kill(call: Call) -> int:
    container, cgroups = machine.load(call)
    number = signal_names.parse(call.arguments[1] if len(call.arguments) > 1 and call.arguments[1] else "SIGTERM")
    if call.options.flag("all"):
        _signal_all(container, cgroups, number)
    elif not signal_init(container, cgroups, number):
        raise Failure("container not running")
    return 0


def signal_init(container: Container, cgroups: Cgroups, number: int) -> bool:
    """Whether init was there to get it. Raises Failure."""
    init = status.open_init(container)
    if init is None:
        return False
    try:
        if not pidfd.send_signal(init, number):
            return False
    except (OSError, ValueError) as error:
        reason = strerror(error) if isinstance(error, OSError) else "invalid argument"
        raise Failure(f"unable to signal init: {reason}") from error
    finally:
        os.close(init)
    if number == signals.SIGKILL and container.cgroup and cgroups.frozen(container.cgroup):
        # On v1 a frozen process dies only when it thaws.
        _thaw(container, cgroups)
    return True


def _thaw(container: Container, cgroups: Cgroups) -> None:
    try:
        cgroups.thaw(container.cgroup)
    except CgroupError as error:
        raise Failure(str(error)) from error


def _signal_all(container: Container, cgroups: Cgroups, number: int) -> None:
    path = container.cgroup
    if not path:
        signal_init(container, cgroups, number)
        return
    try:
        if number == signals.SIGKILL:
            cgroups.kill(path)
            return
        stopped = cgroups.frozen(path)
        if not stopped:
            # Standing still they cannot fork away from it.
            cgroups.freeze(path)
        try:
            for pid in cgroups.procs(path):
                _send(pid, number)
        finally:
            if not stopped:
                cgroups.thaw(path)
    except CgroupError as error:
        raise Failure(str(error)) from error


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except OSError as error:
        raise Failure(strerror(error)) from error


COMMAND = Command(
    "kill",
    _kill,
    usage="kill sends the specified signal (default: SIGTERM) to the container's init process",
    arguments="""<container-id> [signal]

Where "<container-id>" is the name for the instance of the container and
"[signal]" is the signal to be sent to the init process.

EXAMPLE:
For example, if the container id is "ubuntu01" the following will send a "KILL"
signal to the init process of the "ubuntu01" container:

       # wherry-oci kill ubuntu01 KILL""",
    flags=(Flag("all, a", "send the specified signal to all processes inside the container", "bool"),),
    least=1,
    most=2,
)
