"""The networks and endpoints that there are, in memory, as the store last had them.

All that is in use (addresses, names, interfaces) is read off the endpoints here; there is no second book. Belongs to
the event loop: between a look and a ``put`` without an await nobody else gets in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from wherry.lib.errors import InvalidArgument, NotFound
from wherry.network.ipam import Pool, read_pool
from wherry.state.network import EndpointRecord, NetworkRecord

PREDEFINED = ("bridge", "host", "none")


@dataclass(frozen=True, slots=True)
class Network:
    """A network's record with its pools read."""

    record: NetworkRecord
    pool4: Pool | None
    pool6: Pool | None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def predefined(self) -> bool:
        """Whether it is one of the three that always exist."""
        return self.record.name in PREDEFINED

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Its pools, IPv4 first."""
        return tuple(pool for pool in (self.pool4, self.pool6) if pool is not None)


def read_network(record: NetworkRecord) -> Network:
    """The network of a record that was complete when it was stored."""
    pools = {pool.subnet.version: pool for pool in map(read_pool, record.ipam.config or ())}
    return Network(record, pools.get(4), pools.get(6))


class Ledger:
    """Networks by id, endpoints by container."""

    def __init__(self) -> None:
        self._networks: dict[str, Network] = {}
        self._endpoints: dict[str, dict[str, EndpointRecord]] = {}

    def networks(self) -> list[Network]:
        """Every network, oldest first."""
        return list(self._networks.values())

    def network(self, name_or_id: str) -> Network:
        """A network by full id, name or unambiguous start of an id. Raises NotFound, InvalidArgument."""
        exact = self._networks.get(name_or_id) or self.named(name_or_id)
        if exact is not None:
            return exact
        found = [network for key, network in self._networks.items() if name_or_id and key.startswith(name_or_id)]
        if len(found) > 1:
            raise InvalidArgument(f"network {name_or_id} is ambiguous ({len(found)} matches found based on ID prefix)")
        if not found:
            raise NotFound(f"network {name_or_id} not found")
        return found[0]

    def named(self, name: str) -> Network | None:
        """The network called exactly ``name``."""
        return next((network for network in self._networks.values() if network.name == name), None)

    def by_id(self, network_id: str) -> Network:
        """The network of an endpoint, which exists as long as the endpoint does."""
        return self._networks[network_id]

    def put_network(self, network: Network) -> None:
        """Add or replace a network."""
        self._networks[network.id] = network

    def drop_network(self, network_id: str) -> None:
        """Forget a network."""
        self._networks.pop(network_id, None)

    def containers(self) -> list[str]:
        """Every container with a sandbox."""
        return list(self._endpoints)

    def endpoints_in(self, container_id: str) -> list[EndpointRecord]:
        """A container's endpoints in the order in which it joined, the parked one included."""
        return list(self._endpoints.get(container_id, {}).values())

    def endpoints_on(self, network_id: str) -> list[EndpointRecord]:
        """A network's endpoints, without parked ones."""
        return [
            endpoint
            for endpoints in self._endpoints.values()
            for endpoint in endpoints.values()
            if endpoint.network_id == network_id and not endpoint.parked
        ]

    def all_endpoints(self) -> list[EndpointRecord]:
        """Every endpoint, parked ones included."""
        return [endpoint for endpoints in self._endpoints.values() for endpoint in endpoints.values()]

    def put(self, endpoints: Iterable[EndpointRecord]) -> None:
        """Add or replace endpoints."""
        for endpoint in endpoints:
            self._endpoints.setdefault(endpoint.container_id, {})[endpoint.id] = endpoint

    def drop(self, endpoints: Iterable[EndpointRecord]) -> None:
        """Forget endpoints."""
        for endpoint in endpoints:
            kept = self._endpoints.get(endpoint.container_id, {})
            kept.pop(endpoint.id, None)
            if not kept:
                self._endpoints.pop(endpoint.container_id, None)

    def used(self, network_id: str) -> tuple[set[int], set[int]]:
        """The IPv4 and IPv6 addresses that a network's endpoints have, as numbers."""
        endpoints = self.endpoints_on(network_id)
        return (
            {int(address_of(endpoint.ipv4)) for endpoint in endpoints if endpoint.ipv4},
            {int(address_of(endpoint.ipv6)) for endpoint in endpoints if endpoint.ipv6},
        )


def address_of(interface: str) -> IPv4Address | IPv6Address:
    """The address in ``address/prefix``."""
    return ipaddress.ip_address(interface.partition("/")[0])
