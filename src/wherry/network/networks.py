"""Networks made and removed: record first, then the kernel, so that a crash leaves a network that restore completes."""

from __future__ import annotations

import asyncio

from wherry.lib.clock import now_ns
from wherry.lib.errors import Forbidden
from wherry.network.design import design_network
from wherry.network.ledger import Network
from wherry.network.room import Room
from wherry.wire.network import NetworkCreateRequest


async def create(room: Room, request: NetworkCreateRequest) -> Network:
    """Make a network. Raises InvalidArgument, Conflict, Forbidden, NotFound, NotBuilt, Internal."""
    host = room.fabric.host
    existing = room.ledger.networks()
    in_use = await room.kernel(host.networks_in_use)
    network = design_network(request, existing=existing, in_use=in_use, config=room.config, now=now_ns())
    driver = room.fabric.driver(network)
    driver.check(network, [other for other in existing if other.record.driver == network.record.driver])
    await room.store.put_network(network.record)
    try:
        await room.kernel(driver.up, host, network)
        room.ledger.put_network(network)
        await room.rewrite_firewall()
    except BaseException:
        await asyncio.shield(_forget(room, network))
        raise
    room.announce("create", network)
    return network


async def remove(room: Room, name_or_id: str) -> Network:
    """Remove a network that nothing is on. Raises NotFound, Forbidden, Internal."""
    network = room.ledger.network(name_or_id)
    if network.predefined:
        raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
    if room.ledger.endpoints_on(network.id):
        raise Forbidden(f"error while removing network: network {network.name} id {network.id} has active endpoints")
    # out of the ledger before the first wait: from here on nobody joins it
    room.ledger.drop_network(network.id)
    try:
        await room.rewrite_firewall()
        await room.kernel(room.fabric.driver(network).down, room.fabric.host, network)
        await room.store.delete_network(network.id)
    except BaseException:
        room.ledger.put_network(network)
        raise
    room.announce("destroy", network)
    return network


async def _forget(room: Room, network: Network) -> None:
    room.ledger.drop_network(network.id)
    await room.kernel(room.fabric.driver(network).down, room.fabric.host, network)
    await room.store.delete_network(network.id)
    await room.rewrite_firewall()
