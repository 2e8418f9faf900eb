"""Names on user-defined networks: each container's /etc/hosts lists its neighbours, and follows when they change.

Docker serves these names from a resolver inside the container. Until there is one here, the file does; it is written by
whoever owns it (see ``listen``), in the background, so that no container's start waits for another container.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable

from wherry.lib.errors import WherryError
from wherry.network.model import Sandbox

DEADLINE_S = 30.0
"""For one container to take the news; it may be starting or stopping."""

_log = logging.getLogger(__name__)

Tell = Callable[[str, Sandbox], Awaitable[None]]


class Neighbours:
    """Tells running containers that their surroundings have changed."""

    def __init__(self, view: Callable[[str], Sandbox | None]) -> None:
        """``view`` gives a container's sandbox as it now is, None when it has left."""
        self._view = view
        self._tell: Tell | None = None
        self._pending: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def listen(self, tell: Tell) -> None:
        """From now on ``tell`` is given each sandbox that changes by what others do."""
        self._tell = tell

    def changed(self, containers: Iterable[str]) -> None:
        """The surroundings of these containers have changed; returns at once."""
        self._pending.update(containers)
        if self._pending and self._tell is not None and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work(self._tell), name="neighbours")

    async def close(self) -> None:
        """Stop; what was not told yet is told after the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self, tell: Tell) -> None:
        while self._pending:
            due, self._pending = self._pending, set()
            async with asyncio.TaskGroup() as group:
                for container_id in due:
                    group.create_task(self._one(tell, container_id))

    async def _one(self, tell: Tell, container_id: str) -> None:
        sandbox = self._view(container_id)
        if sandbox is None:
            return
        try:
            async with asyncio.timeout(DEADLINE_S):
                await tell(container_id, sandbox)
        except (WherryError, OSError, TimeoutError) as error:
            _log.warning("names around container %s: %s", container_id, error)
