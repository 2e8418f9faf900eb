"""Networks: bridges, links, namespaces and the firewall, against what the daemon has given to containers."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from wherry.engine.containers.context import Context
from wherry.engine.system.fsck.finding import Finding
from wherry.lib.ids import short
from wherry.linux.rtnetlink import list_links
from wherry.network.drivers.bridge import read_options
from wherry.network.ledger import Network
from wherry.network.reaper import remove_links
from wherry.network.room import Room
from wherry.state.network import EndpointRecord


class NetworkThings:
    """What the kernel has, what the daemon remembers, what is stored."""

    name = "networks"
    steady = False

    def __init__(self, context: Context) -> None:
        self._context = context
        self._room: Room = context.networks.room

    async def look(self) -> list[Finding]:
        room, ledger = self._room, self._room.ledger
        links = {link.name for link in await room.kernel(list_links, room.fabric.host.netlink)}
        found: list[Finding] = []
        for network in ledger.networks():
            if network.record.driver != "bridge":
                continue
            bridge = read_options(network, room.config.mtu).interface
            if bridge not in links:
                found.append(self._bridge(network, bridge))
            found += [self._stray(name) for name in await self._strays(network)]
        live = {entry.id for entry in self._context.registry if entry.busy}
        endpoints = ledger.all_endpoints()
        found += [_linkless(one) for one in endpoints if one.link and one.link not in links]
        found += [self._gone(key) for key in sorted({one.container_id for one in endpoints} - live)]
        known = {one.id for one in endpoints}
        found += [self._stored(one) for one in room.store.endpoints() if one.id not in known]
        found += [self._namespace(path) for path in await asyncio.to_thread(room.spaces.unused, endpoints)]
        if await room.kernel(room.fabric.host.firewall.altered):
            found.append(self._firewall())
        return found

    async def _strays(self, network: Network) -> list[str]:
        room = self._room
        endpoints = room.ledger.endpoints_on(network.id)
        return await room.kernel(room.fabric.driver(network).strays, room.fabric.host, network, endpoints)

    def _bridge(self, network: Network, bridge: str) -> Finding:
        room = self._room
        return Finding(
            kind="bridge-missing",
            subject=network.name,
            problem=f"the bridge {bridge} of the network is gone",
            remedy="is made again; containers that were on it must be restarted",
            mend=partial(room.kernel, room.fabric.driver(network).up, room.fabric.host, network),
        )

    def _stray(self, name: str) -> Finding:
        room = self._room
        return Finding(
            kind="link-orphan",
            subject=name,
            problem="a link on a bridge of ours that no container has",
            remedy="is removed",
            mend=partial(room.kernel, remove_links, room.fabric.host, [name]),
        )

    def _gone(self, container_id: str) -> Finding:
        return Finding(
            kind="endpoint-orphan",
            subject=container_id,
            problem="has addresses on networks, and no such container runs",
            remedy="leaves its networks",
            mend=partial(self._context.networks.leave, container_id),
        )

    def _stored(self, endpoint: EndpointRecord) -> Finding:
        return Finding(
            kind="endpoint-unknown",
            subject=endpoint.id,
            problem=f"is stored for container {short(endpoint.container_id)}, which does not have it",
            remedy="is forgotten",
            mend=partial(self._room.store.change_endpoints, delete=[endpoint.id]),
        )

    def _namespace(self, path: Path) -> Finding:
        return Finding(
            kind="netns-orphan",
            subject=path.name,
            problem="a network namespace that no container has",
            remedy="is dropped",
            mend=partial(self._room.spaces.drop, path),
        )

    def _firewall(self) -> Finding:
        return Finding(
            kind="firewall-altered",
            subject=f"inet {self._room.config.table}",
            problem="the firewall's table is not as the daemon wrote it",
            remedy="is written again",
            mend=self._room.rewrite_firewall,
        )


def _linkless(endpoint: EndpointRecord) -> Finding:
    return Finding(
        kind="link-missing",
        subject=endpoint.link,
        problem=f"the link of container {short(endpoint.container_id)} is gone: it has no network",
        remedy="restart the container",
    )
