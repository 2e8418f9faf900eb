"""A container's state: one enum, the moves that are legal, and nothing that two fields say twice.

created ──▶ running ◀──▶ paused
   │          │  ▲          │
   │          ▼  │          ▼
   │       restarting ──▶ exited ──▶ running (start again)
   ▼                        │
removing ◀──────────────────┘ ──▶ dead (removal failed half way)
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wherry.lib.errors import Internal


class Status(StrEnum):
    """The word that ``docker inspect`` shows."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


_MOVES: dict[Status, frozenset[Status]] = {
    Status.CREATED: frozenset({Status.CREATED, Status.RUNNING, Status.REMOVING}),
    Status.RUNNING: frozenset({Status.PAUSED, Status.RESTARTING, Status.EXITED}),
    Status.PAUSED: frozenset({Status.RUNNING, Status.RESTARTING, Status.EXITED}),
    Status.RESTARTING: frozenset({Status.RUNNING, Status.EXITED, Status.RESTARTING}),
    Status.EXITED: frozenset({Status.RUNNING, Status.RESTARTING, Status.REMOVING, Status.EXITED}),
    Status.REMOVING: frozenset({Status.DEAD, Status.REMOVING}),
    Status.DEAD: frozenset({Status.REMOVING}),
}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What was last observed of a container. Instants are ns since the epoch, 0 for never."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0

    @property
    def alive(self) -> bool:
        """Whether its processes exist."""
        return self.status in (Status.RUNNING, Status.PAUSED)

    def moved(self, to: Status, **changes: int | str | bool) -> State:
        """The state after a move. Raises Internal for a move that is not in the table."""
        if to not in _MOVES[self.status]:
            raise Internal(f"illegal container state change: {self.status} to {to}")
        return msgspec.structs.replace(self, status=to, **changes)

    def running(self, *, pid: int, started_at: int) -> State:
        """The program has been executed."""
        return self.moved(Status.RUNNING, pid=pid, started_at=started_at, exit_code=0, error="", oom_killed=False)

    def exited(self, *, code: int, finished_at: int, oom_killed: bool, restarting: bool = False) -> State:
        """The program has ended; with ``restarting`` the restart policy will run it again."""
        to = Status.RESTARTING if restarting else Status.EXITED
        return self.moved(to, pid=0, exit_code=code, finished_at=finished_at, oom_killed=oom_killed)

    def failed_start(self, *, code: int, error: str) -> State:
        """The program could not be executed: a new container stays created, an old one exited, as Docker shows them."""
        to = Status.CREATED if self.status is Status.CREATED else Status.EXITED
        return self.moved(to, pid=0, exit_code=code, error=error)
