"""Endpoints in the kernel: their ports held, their links made and configured, their traffic let through; and undone.

These run on the host's thread. One that fails leaves what it made to ``detach``, which takes away whatever is there.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from wherry.lib.errors import Internal
from wherry.linux.conntrack import forget_udp
from wherry.linux.rtnetlink import find_link
from wherry.network import sandbox
from wherry.network.drivers.base import Driver
from wherry.network.firewall import PortRule, rules_for
from wherry.network.host import Host
from wherry.network.ledger import Network
from wherry.network.model import NetnsHandle
from wherry.network.ports import PortRequest, PortTaken, requests
from wherry.state.network import EndpointRecord, PublishedPort

_log = logging.getLogger(__name__)

CARRIER_S = 0.1
POLL_S = 0.0002
ANY4, ANY6 = "0.0.0.0", "::"  # noqa: S104 - what Docker calls "every address"


@dataclass(frozen=True, slots=True)
class Fabric:
    """The kernel side of all networks: the host's thread state and a driver for each kind."""

    host: Host
    drivers: Mapping[str, Driver]

    def driver(self, network: Network) -> Driver:
        """The driver of a network."""
        return self.drivers[network.record.driver]


def reserve(fabric: Fabric, endpoint: EndpointRecord, binding: str) -> EndpointRecord:
    """Hold the host ports that the container publishes. ``binding`` is the host address of those that name none.

    Raises Internal in Docker's words.
    """
    wanted = endpoint.sandbox
    ports = fabric.host.ports
    target = endpoint.ipv4.partition("/")[0] or endpoint.ipv6.partition("/")[0]
    held: list[PublishedPort] = []
    try:
        for request in requests(wanted.port_bindings, wanted.exposed_ports, publish_all=wanted.publish_all):
            number = 0
            for host_ip in _host_addresses(request, endpoint, binding):
                first, last = (number, number) if number else (request.first, request.last)
                one = replace(request, host_ip=host_ip, first=first, last=last)
                held += ports.reserve(endpoint.id, [one], target)
                number = held[-1].host_port  # the same port in both families
    except PortTaken as error:
        ports.release(endpoint.id)
        name = wanted.container_name
        raise Internal(
            f"driver failed programming external connectivity on endpoint {name} ({endpoint.id}): {error}"
        ) from None
    return msgspec.structs.replace(endpoint, ports=tuple(held))


def attach(
    fabric: Fabric, endpoints: Sequence[EndpointRecord], networks: dict[str, Network], handle: NetnsHandle
) -> None:
    """Make and configure links, and publish the ports held. Raises OSError, NftablesError."""
    for endpoint in endpoints:
        network = networks[endpoint.network_id]
        fabric.driver(network).attach(fabric.host, network, endpoint, handle)
    sandbox.configure(handle, endpoints, networks)
    fabric.host.firewall.publish(port_rules(fabric.host, endpoints))
    _forget_flows(fabric.host, endpoints)
    _await_carrier(fabric.host, endpoints)


def detach(
    fabric: Fabric, endpoints: Sequence[EndpointRecord], networks: Mapping[str, Network], *, links: bool
) -> None:
    """Withdraw and let go of ports; with ``links`` remove the links too. Raises OSError, NftablesError."""
    try:
        fabric.host.firewall.withdraw(port_rules(fabric.host, endpoints))
    finally:
        for endpoint in endpoints:
            fabric.host.ports.release(endpoint.id)
    _forget_flows(fabric.host, endpoints)
    if links:
        for endpoint in endpoints:
            network = networks[endpoint.network_id]
            fabric.driver(network).detach(fabric.host, network, endpoint)


def move_gateway(
    fabric: Fabric, former: EndpointRecord, target: EndpointRecord, network: Network, handle: NetnsHandle
) -> None:
    """Give ``target`` the ports that ``former`` has, and the default routes. Raises OSError, NftablesError."""
    sandbox.set_gateway(handle, target, network)
    fabric.host.firewall.withdraw(port_rules(fabric.host, [former]))
    fabric.host.ports.rename(former.id, target.id)
    fabric.host.firewall.publish(port_rules(fabric.host, [target]))
    _forget_flows(fabric.host, [target])


def port_rules(host: Host, endpoints: Iterable[EndpointRecord]) -> list[PortRule]:
    """The firewall's elements for endpoints' ports."""
    return [
        replace(rule, host_ip=host.local_address(rule.host_ip))
        for endpoint in endpoints
        for rule in rules_for(endpoint.ports, endpoint.ipv4.partition("/")[0], endpoint.ipv6.partition("/")[0])
    ]


def _forget_flows(host: Host, endpoints: Iterable[EndpointRecord]) -> None:
    """Let UDP clients that go on sending come to whoever has the ports now."""
    rules = [rule for rule in port_rules(host, endpoints) if rule.protocol == "udp"]
    if not rules:
        return
    addresses = {ipaddress.ip_address(rule.address) for rule in rules}
    try:
        forget_udp(host.netfilter, addresses=addresses, ports={rule.host_port for rule in rules})
    except OSError as error:  # a kernel without ctnetlink: flows then end by themselves after half a minute of silence
        _log.warning("%s", error)


def _await_carrier(host: Host, endpoints: Sequence[EndpointRecord]) -> None:
    """Wait until the bridge passes packets of the new links.

    The kernel turns a port on a moment after its carrier; a packet sent before is lost, and ARP takes a second to
    ask again. When the kernel is busy with ending namespaces the moment is longer than a program's start.
    """
    deadline = time.monotonic() + CARRIER_S
    for endpoint in endpoints:
        while endpoint.link and not find_link(host.netlink, endpoint.link).running and time.monotonic() < deadline:
            time.sleep(POLL_S)


def _host_addresses(request: PortRequest, endpoint: EndpointRecord, binding: str) -> Iterator[str]:
    """Where a port is bound: as asked, else on the network's address and, with IPv6, on every IPv6 one."""
    if request.host_ip:
        if not (endpoint.ipv6 if ":" in request.host_ip else endpoint.ipv4):
            raise PortTaken(f"cannot publish on {request.host_ip}: the container has no address of that family")
        yield request.host_ip
        return
    if endpoint.ipv4:
        yield binding or ANY4
    if endpoint.ipv6 and binding in ("", ANY4):
        yield ANY6
