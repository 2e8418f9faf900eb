"""Bringing state and kernel together when the daemon starts.

After a crash there may be, besides what belongs to live containers: endpoints of containers that are gone, their
namespaces and links, links and namespaces made for a join that was never stored, networks without a bridge, a firewall
of another day. Each is recognised by where it is (a port of our bridge, a file in our directory, a row of our store).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from wherry.lib.clock import now_ns
from wherry.lib.errors import WherryError
from wherry.network.design import bridge_options, default_bridge, plain_network
from wherry.network.drivers.base import Driver
from wherry.network.host import Host
from wherry.network.ledger import Network, read_network
from wherry.network.reaper import remove_links
from wherry.network.room import Room
from wherry.state.network import EndpointRecord

_log = logging.getLogger(__name__)


async def restore(room: Room, live: Collection[str]) -> None:
    """Adopt what belongs to ``live`` containers, remove the rest, set every network up. Raises WherryError, OSError."""
    for record in room.store.networks():
        room.ledger.put_network(read_network(record))
    endpoints = room.store.endpoints()
    kept = [endpoint for endpoint in endpoints if endpoint.container_id in live]
    dead = [endpoint for endpoint in endpoints if endpoint.container_id not in live]
    room.ledger.put(kept)
    await room.store.change_endpoints(delete=[endpoint.id for endpoint in dead])
    await _predefined(room)
    for network in room.ledger.networks():
        await _up(room, network)
    await room.kernel(_hold_ports, room.fabric.host, kept)
    await room.rewrite_firewall()
    await room.spaces.sweep({Path(endpoint.sandbox.netns) for endpoint in kept if endpoint.sandbox.netns})


async def _up(room: Room, network: Network) -> None:
    """One network; what is wrong with it must not keep the daemon from starting."""
    driver, endpoints = room.fabric.driver(network), room.ledger.endpoints_on(network.id)
    try:
        await room.kernel(driver.up, room.fabric.host, network)
        await room.kernel(_remove_strays, room.fabric.host, driver, network, endpoints)
    except WherryError as error:
        _log.error("network %s (%s) could not be set up: %s", network.name, network.id, error)


def _remove_strays(host: Host, driver: Driver, network: Network, endpoints: Sequence[EndpointRecord]) -> None:
    remove_links(host, driver.strays(host, network, endpoints))


def _hold_ports(host: Host, endpoints: Sequence[EndpointRecord]) -> None:
    for endpoint in endpoints:
        for lost in host.ports.hold_again(endpoint.id, endpoint.ports):
            _log.warning(
                "port %s:%s/%s of container %s is now used by another program as well",
                lost.host_ip,
                lost.host_port,
                lost.protocol,
                endpoint.container_id,
            )


async def _predefined(room: Room) -> None:
    for name, kind in (("none", "null"), ("host", "host")):
        if room.ledger.named(name) is None:
            await _keep(room, plain_network(name, kind, now_ns()))
    present = room.ledger.named("bridge")
    others = [network for network in room.ledger.networks() if network is not present]
    if present is None or _other_addresses(room, present):
        in_use = await room.kernel(room.fabric.host.networks_in_use)
        fresh = default_bridge(room.config, existing=others, in_use=in_use, now=now_ns())
        if present is not None:
            fresh = Network(msgspec.structs.replace(fresh.record, id=present.id), fresh.pool4, fresh.pool6)
        await _keep(room, fresh)
    elif present.record.options != bridge_options(room.config):
        record = msgspec.structs.replace(present.record, options=bridge_options(room.config))
        await _keep(room, Network(record, present.pool4, present.pool6))


def _other_addresses(room: Room, present: Network) -> bool:
    """Whether the configuration now gives the default bridge other addresses, and no container stands in the way."""
    bip, fixed, pool = room.config.bip, room.config.fixed_cidr, present.pool4
    same = pool is not None and (bip is None or (bip.ip == pool.gateway and bip.network == pool.subnet))
    same = same and pool is not None and (fixed is None or fixed == pool.range)
    if not same and room.ledger.endpoints_on(present.id):
        _log.warning("containers are on the default bridge: its addresses stay until a start without them")
        return False
    return not same


async def _keep(room: Room, network: Network) -> None:
    await room.store.put_network(network.record)
    room.ledger.put_network(network)
