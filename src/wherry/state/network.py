"""Networks and endpoints as they are kept: one row each, the record as JSON.

An endpoint's row lives from the moment its container joins until it leaves; addresses and ports in use are read from
these rows and from nowhere else. Each endpoint of a container carries the container's sandbox, so a sandbox is what its
endpoints say. A running container that was disconnected from everything keeps one *parked* endpoint on the ``none``
network, which no list shows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from wherry.state.database import Database
from wherry.wire.network import IPAM, EndpointSettings, IPAMConfig, PortMap


class NetworkRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A network. ``ipam`` is complete: every pool has its subnet and, where the network has one, its gateway."""

    id: str
    name: str
    created: int
    """ns since the epoch."""
    driver: str
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam: IPAM = msgspec.field(default_factory=IPAM)
    chosen_by_user: bool = False
    """Whether a subnet was given: only then may a container ask for an address."""
    asked_pools: list[IPAMConfig] = msgspec.field(default_factory=list)
    """The pools as the user wrote them: inspect shows these, without what was chosen for them."""
    internal: bool = False
    attachable: bool = False
    options: dict[str, str] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class PublishedPort(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A container's port on a host address, as it was allocated."""

    protocol: str
    port: int
    """In the container."""
    host_ip: str
    host_port: int


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A container's network stack, and what its files and ports are made from."""

    id: str
    netns: str
    """Path of the namespace; empty for the host's."""
    container_name: str
    hostname: str
    domainname: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    port_bindings: PortMap = msgspec.field(default_factory=dict)
    publish_all: bool = False


class EndpointRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A container's place on one network."""

    id: str
    network_id: str
    container_id: str
    interface: str = ""
    """Name inside, ``eth0`` …; empty where the driver makes none."""
    link: str = ""
    """Name of the host's end."""
    mac: str = ""
    ipv4: str = ""
    """With its prefix length."""
    ipv6: str = ""
    asked: EndpointSettings = msgspec.field(default_factory=EndpointSettings)
    """What the user asked for."""
    gateway: bool = False
    """Whether the container's default route and published ports are here."""
    ports: tuple[PublishedPort, ...] = ()
    parked: bool = False
    sandbox: SandboxRecord


_encode = msgspec.json.Encoder().encode
_network = msgspec.json.Decoder(NetworkRecord).decode
_endpoint = msgspec.json.Decoder(EndpointRecord).decode


class NetworkStore:
    """The network and endpoint tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def networks(self) -> list[NetworkRecord]:
        """Every network, oldest first."""
        rows = self._database.read("SELECT document FROM network")
        return sorted((_network(document) for (document,) in rows), key=lambda network: network.created)

    def endpoints(self) -> list[EndpointRecord]:
        """Every endpoint."""
        return [_endpoint(document) for (document,) in self._database.read("SELECT document FROM endpoint")]

    async def put_network(self, record: NetworkRecord) -> None:
        """Add a network or replace its record."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO network (id, name, document) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document",
                (record.id, record.name, _encode(record)),
            )

        await self._database.write(change)

    async def delete_network(self, network_id: str) -> None:
        """Forget a network; its endpoints must be gone."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM network WHERE id = ?", (network_id,))

        await self._database.write(change)

    async def change_endpoints(self, *, put: Sequence[EndpointRecord] = (), delete: Iterable[str] = ()) -> None:
        """Write and forget endpoints in one transaction."""
        gone = [(endpoint_id,) for endpoint_id in delete]
        kept = [(record.id, record.network_id, record.container_id, _encode(record)) for record in put]
        if not gone and not kept:
            return

        def change(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM endpoint WHERE id = ?", gone)
            connection.executemany(
                "INSERT INTO endpoint (id, network_id, container_id, document) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET network_id = excluded.network_id, document = excluded.document",
                kept,
            )

        await self._database.write(change)
