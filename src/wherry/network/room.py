"""The parts that the network room works with, in one place, and the few steps that all of its operations share.

ledger     what there is, in memory       (networks, endpoints: addresses and ports are read off them)
store      the same, durable
fabric     the same, in the kernel        (drivers, firewall, held ports; on the host's thread)
spaces     network namespaces, by way of the zygote
reaper     links on their way out
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from wherry.lib.errors import Internal
from wherry.linux.nftables import NftablesError
from wherry.network import endpoint as kernel
from wherry.network.endpoint import Fabric
from wherry.network.ledger import Ledger, Network
from wherry.network.model import EventSink, NetworkConfig
from wherry.network.reaper import LinkReaper
from wherry.network.sandbox import Namespaces
from wherry.state.network import EndpointRecord, NetworkStore

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One daemon's networking. Belongs to one event loop."""

    config: NetworkConfig
    ledger: Ledger
    store: NetworkStore
    fabric: Fabric
    spaces: Namespaces
    reaper: LinkReaper
    events: EventSink

    async def kernel(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do ``work`` on the host's thread; what the kernel refuses is an Internal error."""
        try:
            return await self.fabric.host.run(work, *args, **kwargs)
        except NftablesError as error:
            raise Internal(f"firewall table {self.config.table}: {error}") from error
        except OSError as error:
            raise Internal(error.strerror or str(error)) from error

    async def rewrite_firewall(self) -> None:
        """Make the firewall say what the ledger says. Raises Internal."""
        rules = [self.fabric.driver(network).rules(network) for network in self.ledger.networks()]
        bridges = tuple(rule for rule in rules if rule is not None)
        published = kernel.port_rules(self.fabric.host, self.ledger.all_endpoints())
        await self.kernel(self.fabric.host.firewall.replace, bridges, published)

    async def take_down(self) -> None:
        """Remove bridges and firewall from the kernel: for a daemon that stops while no container uses them.

        The next start makes them again. Raises Internal.
        """
        for network in self.ledger.networks():
            await self.kernel(self.fabric.driver(network).down, self.fabric.host, network)
        await self.kernel(self.fabric.host.firewall.remove)

    def networks_of(self, endpoints: Iterable[EndpointRecord]) -> dict[str, Network]:
        """The networks of ``endpoints`` by id."""
        return {endpoint.network_id: self.ledger.by_id(endpoint.network_id) for endpoint in endpoints}

    def announce(self, action: str, network: Network, container_id: str = "") -> None:
        """Emit a network event."""
        container = {"container": container_id} if container_id else {}
        attributes = {**container, "name": network.name, "type": network.record.driver}
        self.events.emit("network", action, network.id, attributes)


async def everything(*work: Awaitable[object]) -> None:
    """Do things side by side and wait for all of them, whatever happens to one; then raise the first error."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
