"""The firewall heals by itself: the kernel reports every change of any table; damage to ours is repaired at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from wherry.linux.nftables import NFT_MSG_NEWGEN, Change, NftablesError
from wherry.network.firewall import damaged
from wherry.network.host import Host

PAUSE_S = 0.02
"""Between two repairs, so that a ruleset flushed in a loop costs little."""
RETRY_S = 1.0

_log = logging.getLogger(__name__)


class FirewallGuard:
    """Watches one daemon's table."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._damage = asyncio.Event()
        self._unfinished: list[Change] = []
        """The changes of a transaction whose end has not been reported yet."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        asyncio.get_running_loop().add_reader(self._host.monitor.socket, self._changed)
        self._task = asyncio.create_task(self._repair(), name="firewall guard")

    async def close(self) -> None:
        """Stop watching; the table stays."""
        if self._task is None:
            return
        asyncio.get_running_loop().remove_reader(self._host.monitor.socket)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _changed(self) -> None:
        changes = self._host.monitor.read()
        if changes is None:
            self._unfinished.clear()
            self._damage.set()
            return
        for change in changes:
            self._unfinished.append(change)
            if change.message == NFT_MSG_NEWGEN:
                if damaged(self._unfinished, self._host.firewall.table):
                    self._damage.set()
                self._unfinished.clear()

    async def _repair(self) -> None:
        while True:
            await self._damage.wait()
            self._damage.clear()
            try:
                await self._host.run(self._host.firewall.heal)
                _log.warning("firewall table %s was damaged and is repaired", self._host.firewall.table)
                await asyncio.sleep(PAUSE_S)
            except NftablesError as error:
                _log.error("firewall table %s cannot be repaired: %s", self._host.firewall.table, error)
                self._damage.set()
                await asyncio.sleep(RETRY_S)
