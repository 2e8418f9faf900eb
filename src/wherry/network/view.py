"""Records as others see them: endpoint settings, a container's sandbox, a network's inspect. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from wherry.lib.clock import rfc3339
from wherry.lib.ids import short
from wherry.network import files
from wherry.network.ipam import parse_subnet
from wherry.network.ledger import Network
from wherry.network.model import NetworkConfig, Sandbox
from wherry.network.ports import port_map
from wherry.state.network import EndpointRecord, NetworkRecord, SandboxRecord
from wherry.wire.network import IPAM, EndpointSettings, NetworkContainer, NetworkInspect


def endpoint_settings(endpoint: EndpointRecord, network: Network) -> EndpointSettings:
    """An endpoint as ``inspect`` shows it."""
    ipv4, _, length4 = endpoint.ipv4.partition("/")
    ipv6, _, length6 = endpoint.ipv6.partition("/")
    reach = not network.record.internal
    return msgspec.structs.replace(
        endpoint.asked,
        network_id=network.id,
        endpoint_id=endpoint.id,
        mac_address=endpoint.mac,
        gateway=str(network.pool4.gateway) if network.pool4 and ipv4 and reach else "",
        ip_address=ipv4,
        ip_prefix_len=int(length4 or 0),
        ipv6_gateway=str(network.pool6.gateway) if network.pool6 and ipv6 and reach else "",
        global_ipv6_address=ipv6,
        global_ipv6_prefix_len=int(length6 or 0),
        dns_names=dns_names(endpoint) if not network.predefined else None,
    )


def dns_names(endpoint: EndpointRecord) -> list[str]:
    """The names by which others on a user-defined network find the container."""
    sandbox = endpoint.sandbox
    names = [sandbox.container_name, *(endpoint.asked.aliases or ()), short(endpoint.container_id), sandbox.hostname]
    return list(dict.fromkeys(name for name in names if name))


def sandbox_view(
    endpoints: Sequence[EndpointRecord],
    networks: Mapping[str, Network],
    *,
    config: NetworkConfig,
    host_hosts: bytes,
    host_resolv_conf: bytes,
    host_gateway: str,
    neighbours: Sequence[EndpointRecord] = (),
) -> Sandbox:
    """A container's sandbox from its endpoints (at least one, perhaps parked).

    ``neighbours`` are the endpoints (its own too) on its user-defined networks, whose names it knows.
    """
    record = endpoints[0].sandbox
    shown = [endpoint for endpoint in endpoints if not endpoint.parked]
    on_host = not record.netns
    addresses = [text.partition("/")[0] for endpoint in shown for text in (endpoint.ipv4, endpoint.ipv6) if text]
    if on_host:
        hosts = files.hosts_on_host(host_hosts, record.extra_hosts, host_gateway)
    else:
        hosts = files.hosts(
            hostname=record.hostname,
            domainname=record.domainname,
            addresses=addresses,
            extra=record.extra_hosts,
            gateway=host_gateway,
            names=_names(neighbours),
        )
    published = [port for endpoint in shown for port in endpoint.ports]
    exposed = () if on_host or not addresses else record.exposed_ports
    return Sandbox(
        container_id=endpoints[0].container_id,
        sandbox_id=record.id,
        sandbox_key=record.netns or str(config.netns_dir / "default"),
        netns=Path(record.netns) if record.netns else None,
        endpoints={
            networks[endpoint.network_id].name: endpoint_settings(endpoint, networks[endpoint.network_id])
            for endpoint in shown
        },
        ports=port_map(published, exposed),
        hosts=hosts,
        resolv_conf=_resolv_conf(record, config, host_resolv_conf),
    )


def _ipam(record: NetworkRecord) -> IPAM:
    """The pools: those of the user as written, the others as chosen. Docker shows no gateway that nobody named."""
    asked = {parse_subnet(pool.subnet): pool for pool in record.asked_pools}
    pools = [asked.get(parse_subnet(pool.subnet), pool) for pool in record.ipam.config or ()]
    return msgspec.structs.replace(record.ipam, config=pools)


def network_inspect(network: Network, endpoints: Sequence[EndpointRecord]) -> NetworkInspect:
    """A network with the containers on it."""
    record = network.record
    return NetworkInspect(
        name=record.name,
        id=record.id,
        created=rfc3339(record.created),
        driver=record.driver,
        enable_ipv4=record.enable_ipv4,
        enable_ipv6=record.enable_ipv6,
        ipam=_ipam(record),
        internal=record.internal,
        attachable=record.attachable,
        containers={
            endpoint.container_id: NetworkContainer(
                name=endpoint.sandbox.container_name,
                endpoint_id=endpoint.id,
                mac_address=endpoint.mac,
                ipv4_address=endpoint.ipv4,
                ipv6_address=endpoint.ipv6,
            )
            for endpoint in endpoints
        },
        options=record.options,
        labels=record.labels,
    )


def _names(neighbours: Sequence[EndpointRecord]) -> list[tuple[str, str]]:
    return [
        (text.partition("/")[0], " ".join(dns_names(endpoint)))
        for endpoint in neighbours
        for text in (endpoint.ipv4, endpoint.ipv6)
        if text
    ]


def _resolv_conf(record: SandboxRecord, config: NetworkConfig, host: bytes) -> bytes:
    text = host.decode(errors="replace")
    dns, search, options = (
        record.dns or config.dns,
        record.dns_search or config.dns_search,
        record.dns_options or config.dns_options,
    )
    if dns or search or options:
        return files.override(files.parse_resolv_conf(text), dns, search, options).render()
    return files.without_loopback(text).encode() if record.netns else host
