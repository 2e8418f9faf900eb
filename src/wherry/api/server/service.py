"""What the connections of one server share."""

from __future__ import annotations

import asyncio
from typing import Protocol

from wherry.api.server.answer import AnswerHeads
from wherry.api.server.limits import Limits
from wherry.api.server.router import Router


class Member(Protocol):
    """A connection as its server sees it."""

    def leave(self) -> asyncio.Task[None] | None:
        """End when idle, else after the present answer, whose task is returned; one without an end is cut."""

    def abort(self) -> None:
        """End now."""


class Service:
    """Routes, bounds, and who is connected."""

    def __init__(self, router: Router, heads: AnswerHeads, limits: Limits) -> None:
        self.router = router
        self.heads = heads
        self.limits = limits
        self.closing = False
        self.members: set[Member] = set()
        self.orphans: set[asyncio.Task[None]] = set()
        self._idle: dict[Member, None] = {}

    def admit(self, member: Member) -> bool:
        """Whether a new connection may stay; at the limit the longest idle one goes for it."""
        if len(self.members) >= self.limits.connections:
            if not self._idle:
                return False
            oldest = next(iter(self._idle))
            self.forget(oldest)
            oldest.abort()
        self.members.add(member)
        self._idle[member] = None
        return True

    def forget(self, member: Member) -> None:
        """A connection has ended."""
        self.members.discard(member)
        self._idle.pop(member, None)

    def busy(self, member: Member) -> None:
        """A request has come."""
        self._idle.pop(member, None)

    def idle(self, member: Member) -> None:
        """An answer has gone out and no further request has come."""
        if member in self.members:
            self._idle[member] = None

    def orphan(self, task: asyncio.Task[None]) -> None:
        """Keep the task of a request whose client has gone until it is done."""
        self.orphans.add(task)
        task.add_done_callback(self.orphans.discard)
