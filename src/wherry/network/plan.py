"""Which endpoints a container gets: networks found, requests checked, addresses and names chosen.

Pure but for the ledger that it reads. The words of every refusal are Docker's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

import msgspec

from wherry.lib.errors import Conflict, Forbidden, InvalidArgument
from wherry.lib.ids import new_id
from wherry.network.files import extra_host
from wherry.network.ipam import Pool, allocate, default_mac, parse_mac
from wherry.network.ledger import Ledger, Network
from wherry.network.model import JoinRequest
from wherry.network.ports import parse_port, validate_port_bindings
from wherry.state.network import EndpointRecord, SandboxRecord
from wherry.wire.network import EndpointSettings

NO_ADDRESS_HERE = "user specified IP address is supported on user defined networks only"
NO_ADDRESS_WITHOUT_SUBNET = (
    "user specified IP address is supported only when connecting to networks with user configured subnets"
)
NO_ALIAS_HERE = "network-scoped alias is supported only for containers in user defined networks"
HOST_ALONE = "container cannot be disconnected from host network or connected to host network"
NONE_ALONE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"


def primary_name(mode: str) -> str:
    """The network that a ``NetworkMode`` names."""
    return "bridge" if mode in ("", "default") else mode


def wanted_networks(ledger: Ledger, request: JoinRequest) -> list[tuple[Network, EndpointSettings]]:
    """The networks to join, the one of the container's mode first, the others by name. Raises NotFound, Conflict …."""
    check_request(request)
    primary = ledger.network(primary_name(request.mode))
    wanted: dict[str, tuple[Network, EndpointSettings]] = {primary.id: (primary, EndpointSettings())}
    for name, settings in sorted(request.endpoints.items()):
        network = ledger.network(primary_name(name))
        wanted[network.id] = (network, settings)
    first = wanted.pop(primary.id)
    if request.mac_address and not first[1].mac_address:
        first = (primary, msgspec.structs.replace(first[1], mac_address=request.mac_address))
    chosen = [first, *wanted.values()]
    check_company([network for network, _ in chosen])
    for network, settings in chosen:
        check_settings(network, settings)
    return chosen


def check_request(request: JoinRequest) -> None:
    """Refuse what could not be written later: ports and extra hosts that make no sense. Raises InvalidArgument."""
    validate_port_bindings(request.port_bindings)
    for spec in request.exposed_ports:
        parse_port(spec)
    for spec in request.extra_hosts:
        extra_host(spec)


def check_company(networks: Sequence[Network]) -> None:
    """The host's and no network stand alone."""
    if len(networks) > 1:
        if any(network.record.driver == "host" for network in networks):
            raise InvalidArgument(HOST_ALONE)
        if any(network.record.driver == "null" for network in networks):
            raise InvalidArgument(NONE_ALONE)


def check_settings(network: Network, settings: EndpointSettings) -> None:
    """Whether a network can give what an endpoint asks for."""
    ipam = settings.ipam_config
    if ipam is not None and (ipam.ipv4_address or ipam.ipv6_address):
        if network.predefined:
            raise InvalidArgument(NO_ADDRESS_HERE)
        if not network.record.chosen_by_user:
            raise InvalidArgument(NO_ADDRESS_WITHOUT_SUBNET)
    if settings.aliases and network.predefined:
        raise InvalidArgument(NO_ALIAS_HERE)


def new_endpoint(
    ledger: Ledger,
    network: Network,
    settings: EndpointSettings,
    *,
    container_id: str,
    sandbox: SandboxRecord,
    interfaces: Collection[str],
    addressed: bool,
) -> EndpointRecord:
    """An endpoint with its addresses chosen, not yet in the ledger. Raises InvalidArgument, Forbidden, Conflict."""
    endpoint_id = new_id()
    record = EndpointRecord(
        id=endpoint_id, network_id=network.id, container_id=container_id, asked=asked_only(settings), sandbox=sandbox
    )
    if not addressed:
        return record
    used4, used6 = ledger.used(network.id)
    ipam = settings.ipam_config
    ipv4 = _address(network.pool4, used4, ipam.ipv4_address if ipam else "", network)
    ipv6 = _address(network.pool6, used6, ipam.ipv6_address if ipam else "", network)
    mac = parse_mac(settings.mac_address) if settings.mac_address else default_mac(ipv4 or ipv6 or IPv4Address(0))
    if settings.mac_address and any(other.mac == mac for other in ledger.endpoints_on(network.id)):
        raise Conflict(f"address {mac} is already in use on network {network.name}")
    return msgspec.structs.replace(
        record,
        interface=free_interface(interfaces),
        link=f"veth{endpoint_id[:7]}",
        mac=mac,
        ipv4=_with_prefix(ipv4, network.pool4),
        ipv6=_with_prefix(ipv6, network.pool6),
    )


def parked_endpoint(leaving: EndpointRecord, none: Network) -> EndpointRecord:
    """What keeps the sandbox of a running container that leaves its last network."""
    return EndpointRecord(
        id=new_id(), network_id=none.id, container_id=leaving.container_id, parked=True, sandbox=leaving.sandbox
    )


def asked_only(settings: EndpointSettings) -> EndpointSettings:
    """The part of an endpoint's settings that the user gives; what is filled in while it runs goes."""
    return EndpointSettings(
        ipam_config=settings.ipam_config,
        links=settings.links,
        aliases=settings.aliases,
        mac_address=settings.mac_address,
        driver_opts=settings.driver_opts,
        gw_priority=settings.gw_priority,
    )


def free_interface(taken: Collection[str]) -> str:
    """The first of eth0, eth1 … that is not ``taken``."""
    number = 0
    while f"eth{number}" in taken:
        number += 1
    return f"eth{number}"


def gateway_endpoint(endpoints: Sequence[EndpointRecord], networks: Mapping[str, Network]) -> EndpointRecord | None:
    """The endpoint with the default route: highest priority, then first network by name; internal ones never."""
    able = [
        endpoint for endpoint in endpoints if endpoint.interface and not networks[endpoint.network_id].record.internal
    ]
    return min(
        able,
        key=lambda endpoint: (-endpoint.asked.gw_priority, networks[endpoint.network_id].name),
        default=None,
    )


def sandbox_record(request: JoinRequest, sandbox_id: str, netns: str) -> SandboxRecord:
    """What is kept of a request for as long as the container runs."""
    return SandboxRecord(
        id=sandbox_id,
        netns=netns,
        container_name=request.container_name,
        hostname=request.hostname,
        domainname=request.domainname,
        dns=request.dns,
        dns_search=request.dns_search,
        dns_options=request.dns_options,
        extra_hosts=request.extra_hosts,
        exposed_ports=request.exposed_ports,
        port_bindings=request.port_bindings,
        publish_all=request.publish_all,
    )


def _address(
    pool: Pool | None, used: Collection[int], asked: str, network: Network
) -> IPv4Address | IPv6Address | None:
    if pool is None:
        if asked:
            raise InvalidArgument(f"Invalid address {asked}: It does not belong to any of this network's subnets")
        return None
    try:
        wanted = ipaddress.ip_address(asked) if asked else None
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {asked}") from None
    try:
        return allocate(pool, used, wanted)
    except Forbidden as refusal:
        if wanted is not None:
            raise
        kind = f"IPv{pool.subnet.version}"
        raise Forbidden(
            f"no available {kind} addresses on this network's address pools: {network.name} ({network.id})"
        ) from refusal


def _with_prefix(address: IPv4Address | IPv6Address | None, pool: Pool | None) -> str:
    return "" if address is None or pool is None else f"{address}/{pool.subnet.prefixlen}"
