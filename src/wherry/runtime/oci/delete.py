"""``delete``: the container and everything that the runtime has made for it."""

from __future__ import annotations

import os
import select

from wherry.linux import signals
from wherry.runtime.oci import machine, status
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.destroy import destroy
from wherry.runtime.oci.errors import Failure, NoContainer
from wherry.runtime.oci.kill import signal_init
from wherry.runtime.oci.store import Container, Store, check_id, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.linux.cgroups import Cgroups

_KILL_TIMEOUT = 10.0


def _delete(call: Call) -> int:
    store, force = machine.store(call), call.options.flag("force")
    try:
        container = store.load(call.id)
        with container.locked():
            _end(call, container, machine.groups_of(container), force=force)
    except NoContainer:
        _remove_torso(store, call.id)
        if not force:
            raise
    return 0


def _end(call: Call, container: Container, cgroups: Cgroups, *, force: bool) -> None:
    word = status.of(container, cgroups)
    if word not in (status.STOPPED, status.CREATED) and not force:
        raise Failure(f"cannot delete container {container.id} that is not stopped: {word}")
    if word != status.STOPPED:
        _kill(container, cgroups)
    destroy(container, cgroups, call.report)


def _kill(container: Container, cgroups: Cgroups) -> None:
    init = status.open_init(container)
    if init is None:
        return
    try:
        signal_init(container, cgroups, signals.SIGKILL)
        poller = select.poll()
        poller.register(init, select.POLLIN)
        if not poller.poll(_KILL_TIMEOUT * 1000):
            raise Failure("container init still running")
    finally:
        os.close(init)


def _remove_torso(store: Store, container_id: str) -> None:
    """What a creation that was killed has left: a directory without a record."""
    check_id(container_id)
    remove_tree(f"{store.root}/{container_id}")


COMMAND = Command(
    "delete",
    _delete,
    usage="delete any resources held by the container often used with detached container",
    arguments="""<container-id>

Where "<container-id>" is the name for the instance of the container.

EXAMPLE:
For example, if the container id is "ubuntu01" and wherry-oci list currently shows the
status of "ubuntu01" as "stopped" the following will delete resources held for
"ubuntu01" removing "ubuntu01" from the wherry-oci list of containers:

       # wherry-oci delete ubuntu01""",
    flags=(Flag("force, f", "Forcibly deletes the container if it is still running (uses SIGKILL)", "bool"),),
)
