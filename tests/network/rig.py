"""A controller on a host made of namespaces."""

from __future__ import annotations

import asyncio
import contextlib

from network.world import Events, Factory, enter
from wherry.network.controller import NetworkController
from wherry.network.host import Host
from wherry.network.model import JoinRequest, NetworkConfig
from wherry.state.database import Database
from wherry.state.schema import MIGRATIONS


class Daemon:
    """A controller with its surroundings; ``kill`` leaves the kernel as a SIGKILL would."""

    def __init__(self, world, directory, **config):
        self.world, self.directory = world, directory
        self.config = NetworkConfig(
            netns_dir=directory / "netns", bridge="wt0", table="wherry-test", **{"spare_namespaces": 0, **config}
        )
        self.factory, self.events = Factory(), Events()

    async def start(self, live=()):
        self.database = Database(self.directory / "state.db", MIGRATIONS)
        host = Host(self.config.table, enter=lambda: enter(self.world.path(self.world.host)))
        self.controller = NetworkController(self.config, self.database, self.factory, self.events, host=host)
        await self.controller.start()
        return await self.controller.restore(set(live))

    async def stop(self):
        await self.controller.close()
        self.database.close()

    async def kill(self):
        """Drop the daemon: nothing is written, nothing is tidied up."""
        room = self.controller.room
        await self.controller._guard.close()
        for task in (room.reaper._task, room.spaces._filling):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self.controller._host.close()
        self.database.close()

    async def join(self, name, **request):
        asked = {"container_id": ident(name), "container_name": name, "hostname": name, **request}
        return await self.controller.join(JoinRequest(**asked))

    async def leave(self, name):
        await self.controller.leave(ident(name))

    def netns_files(self):
        return sorted(self.config.netns_dir.iterdir())

    async def links(self):
        """Links of the host, once namespaces that have ended are really gone."""
        await self.controller.room.reaper.flush()
        return self.world.links() - {"lo", "up0"}


def ident(name):
    return name.encode().hex().ljust(64, "0")[:64]
