"""What a parent hands the child that it forks for a container's process, and the messages between the two.

    child → parent                                          parent → child
    ─────────────────────────────────────────────────────   ────────────────────────────────────────────────
                                                            bundle + [stdio]   only to a child forked ahead
    "P" + [pidfd]     an exec, a user namespace: whom it has forked
                                                            "G"   the cgroup has its limits, enter it
    "M" + [namespace] its mount namespace, with an overlay
    "H"               the runtime's hooks, now              "G"   they have run
    "T" + [master]    the terminal it has opened
    "S" + number      the descriptor of a seccomp listener
    "R"               the program comes next
    {"code", …}       it failed, see ``init_errors``; last
    end of file       after "R": the program runs, or waits at the gate; before: the child was killed

The child speaks first, unless it was forked ahead.
"""

from __future__ import annotations

import os

from wherry.linux import clone, process, signals, sockets
from wherry.linux.cgroups import CgroupError, enter
from wherry.runtime.init_errors import StartError, Step
from wherry.runtime.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.linux.cgroups.base import Cgroups
    from wherry.runtime.init_program import Program

GO = b"G"
PROCESS = b"P"
MOUNTS = b"M"
HOOKS = b"H"
TERMINAL = b"T"
LISTENER = b"S"


class Plan:
    """What the parent hands its child."""

    def __init__(self, bundle: str, request: dict[str, Any], cgroups: Cgroups | None) -> None:
        self.bundle = bundle
        self.request = request
        """launch.json."""
        self.cgroups = cgroups
        self.cgroup_path = ""
        """The group to enter; empty for none."""
        self.container = -1
        """Exec: a pidfd of the container's first process."""
        self.oom_score_adj: int | None = None
        """Exec: the container's."""
        self.spec: dict[str, Any] | None = None
        """config.json; None is the bundle's."""
        self.seccomp: bytes | None = None
        """The filter; None is the bundle's."""
        self.keep = 0
        """How many descriptors from 3 on the program is to have."""
        self.gate = -1
        """A listening SOCK_SEQPACKET socket, at which ``start`` will knock; -1: the program runs at once."""
        self.no_pivot = False
        self.state: dict[str, Any] = {"ociVersion": VERSION, "id": request["id"], "bundle": bundle}
        """For hooks, but for ``status`` and ``pid``."""

    @property
    def forks_inside(self) -> bool:
        """Whether the child forks another, which is the one that matters, once it is where that belongs."""
        return self.container >= 0 or self.in_user_namespace

    @property
    def in_user_namespace(self) -> bool:
        """Whether the child forks another inside a user namespace."""
        return self.container < 0 and bool(self.request.get("user_namespace"))


def open_terminal(plan: Plan, channel: sockets.Socket, program: Program, root: int) -> int:
    """Open the program's terminal on the devpts below ``root`` and send the parent its end; ours. Raises StartError."""
    stdio = plan.request["stdio"]
    master, replica = program.open_terminal(root, stdio["height"], stdio["width"])
    sockets.send_fds(channel, TERMINAL, [master])
    os.close(master)
    return replica


def wait_for_go(channel: sockets.Socket) -> None:
    """Wait for the parent's word; without it there is nothing more to do."""
    if channel.recv(1) != GO:
        os._exit(1)  # the parent has given up, and says why


def open_cgroup(plan: Plan) -> list[tuple[int, str]]:
    """The way into the plan's group, if there is one: for ``enter_cgroup``. Raises StartError."""
    if plan.cgroups is None or not plan.cgroup_path:
        return []
    try:
        return plan.cgroups.open_entries(plan.cgroup_path)
    except CgroupError as error:
        raise StartError(str(error)) from error


def enter_cgroup(entries: list[tuple[int, str]]) -> None:
    """Move into the group that ``open_cgroup`` has opened. Raises StartError."""
    try:
        enter(entries)
    except CgroupError as error:
        raise StartError(str(error)) from error


def fork_inside(channel: sockets.Socket) -> None:
    """Go on as another process, born where we have come to: our parent's child, of whom it hears. Raises StartError."""
    with Step("unable to fork"):
        child = clone.fork_sibling()
    if child:
        sockets.send_fds(channel, PROCESS, [os.pidfd_open(child)])
        os._exit(0)
    process.set_death_signal(signals.SIGKILL)
