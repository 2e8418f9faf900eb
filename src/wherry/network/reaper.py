"""Links of containers that have ended.

Removing a veth waits up to 22 ms for the kernel; a namespace that ends removes its own for free, a little later. So a
link is only watched, and removed when something kept its namespace alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Iterable

from wherry.linux.netlink import NetlinkError
from wherry.linux.rtnetlink import delete_link, list_links
from wherry.network.host import Host

GRACE_S = 0.3

_log = logging.getLogger(__name__)


class LinkReaper:
    """Sees to it that links go."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._pending: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def watch(self, names: Iterable[str]) -> None:
        """These links should be gone soon; make sure."""
        self._pending.update(name for name in names if name)
        if self._pending and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._reap(), name="link reaper")

    async def flush(self) -> None:
        """Remove now what is being watched."""
        due, self._pending = self._pending, set()
        if due:
            await self._host.run(remove_links, self._host, due)

    async def close(self) -> None:
        """Stop watching; remove what is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    async def _reap(self) -> None:
        while self._pending:
            await asyncio.sleep(GRACE_S)
            await self.flush()


def remove_links(host: Host, names: Iterable[str]) -> None:
    """Remove those of ``names`` that are there; on the host's thread. A refusal is logged."""
    try:
        present = {link.name for link in list_links(host.netlink)}
        for name in present.intersection(names):
            try:
                host.netlink.send(delete_link(name))
            except NetlinkError as error:
                if error.errno != errno.ENODEV:  # it went by itself meanwhile
                    _log.warning("%s", error)
    except OSError as error:
        _log.warning("links not removed: %s", error)
