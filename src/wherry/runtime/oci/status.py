"""What state a container is in: asked of the kernel each time, never remembered.

stopped     init's pid is gone, a zombie, or somebody else's by now (its start time differs)
creating    init is there, and so is the command that makes the container
paused      its control group is frozen
created     init listens at the gate
running     it does not any more
"""

from __future__ import annotations

import os

from wherry.linux import pidfd
from wherry.runtime.oci import gate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.linux.cgroups import Cgroups
    from wherry.runtime.oci.store import Container

CREATING = "creating"
CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"


def of(container: Container, cgroups: Cgroups) -> str:
    """One of the words above."""
    init = open_init(container)
    if init is None:
        return CREATING if _is_there(container.record["creator"]) and not container.pid else STOPPED
    os.close(init)
    if _is_there(container.record["creator"]):
        return CREATING
    if container.cgroup and cgroups.frozen(container.cgroup):
        return PAUSED
    return CREATED if gate.closed(container.gate) else RUNNING


def open_init(container: Container) -> int | None:
    """A pidfd of init; None when it is no more."""
    return _open((container.pid, container.record["start"]))


def _open(process: tuple[int, int]) -> int | None:
    fd = pidfd.open_verified(*process)
    if fd is not None and not pidfd.alive(fd):
        os.close(fd)
        return None
    return fd


def _is_there(process: list[int] | None) -> bool:
    if process is None:
        return False
    fd = _open((process[0], process[1]))
    if fd is None:
        return False
    os.close(fd)
    return True
