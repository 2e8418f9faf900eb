"""A network's record from what the user asked: names, pools and options checked, everything open decided. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from wherry.lib.errors import Conflict, Forbidden, InvalidArgument, NotBuilt, NotFound, Unavailable
from wherry.lib.ids import new_id
from wherry.network.drivers.bridge import BINDING, DEFAULT_BRIDGE, ICC, MASQUERADE, MTU, NAME
from wherry.network.ipam import Network as Subnet
from wherry.network.ipam import Pool, choose_subnet, overlaps, random_ula, read_pool
from wherry.network.ledger import PREDEFINED, Network
from wherry.network.model import NetworkConfig
from wherry.state.network import NetworkRecord
from wherry.wire.network import IPAM, IPAMConfig, NetworkCreateRequest

OVERLAP = "Pool overlaps with other one on this address space"


def design_network(
    request: NetworkCreateRequest,
    *,
    existing: Collection[Network],
    in_use: Collection[Subnet],
    config: NetworkConfig,
    now: int,
) -> Network:
    """The network that ``request`` asks for. ``in_use`` are subnets that the host already routes.

    Raises InvalidArgument, Conflict, Forbidden, NotFound, NotBuilt, Unavailable.
    """
    driver = request.driver or "bridge"
    _check_name(request.name.strip(), existing)
    _check_driver(driver, request)
    pools, chosen = _pools(request, existing=existing, in_use=in_use, config=config)
    ipam = request.ipam or IPAM()
    record = NetworkRecord(
        id=new_id(),
        name=request.name.strip(),
        created=now,
        driver=driver,
        enable_ipv4=any(pool.subnet.version == 4 for pool in pools),
        enable_ipv6=any(pool.subnet.version == 6 for pool in pools),
        ipam=IPAM(driver=ipam.driver or "default", options=ipam.options or {}, config=[shown(pool) for pool in pools]),
        chosen_by_user=chosen,
        asked_pools=[entry for entry in ipam.config or () if entry.subnet],
        internal=request.internal,
        attachable=request.attachable,
        options=dict(request.options or {}),
        labels=dict(request.labels or {}),
    )
    return _network(record, pools)


def default_bridge(
    config: NetworkConfig, *, existing: Collection[Network], in_use: Collection[Subnet], now: int
) -> Network:
    """The predefined network ``bridge``."""
    if config.bip is not None:
        asked = IPAMConfig(subnet=str(config.bip.network), gateway=str(config.bip.ip))
    else:
        taken = [*in_use, *(pool.subnet for network in existing for pool in network.pools)]
        asked = IPAMConfig(subnet=str(choose_subnet(config.pools, taken)))
    if config.fixed_cidr is not None:
        gateway = asked.gateway or str(read_pool(asked).gateway)
        asked = msgspec.structs.replace(asked, ip_range=str(config.fixed_cidr), gateway=gateway)
    pools = [read_pool(asked)]
    record = NetworkRecord(
        id=new_id(),
        name="bridge",
        created=now,
        driver="bridge",
        ipam=IPAM(config=[shown(pool) for pool in pools]),
        options=bridge_options(config),
    )
    return _network(record, pools)


def bridge_options(config: NetworkConfig) -> dict[str, str]:
    """The options that Docker shows on its default network."""
    return {
        DEFAULT_BRIDGE: "true",
        ICC: str(config.icc).lower(),
        MASQUERADE: str(config.ip_masquerade).lower(),
        BINDING: config.default_binding,
        NAME: config.bridge,
        MTU: str(config.mtu),
    }


def plain_network(name: str, kind: str, now: int) -> Network:
    """The predefined networks ``host`` and ``none``."""
    record = NetworkRecord(id=new_id(), name=name, created=now, driver=kind, enable_ipv4=False, ipam=IPAM(config=[]))
    return Network(record, None, None)


def shown(pool: Pool) -> IPAMConfig:
    """A pool as the API shows it."""
    return IPAMConfig(
        subnet=str(pool.subnet),
        ip_range="" if pool.range == pool.subnet else str(pool.range),
        gateway=str(pool.gateway),
        auxiliary_addresses={name: str(address) for name, address in pool.auxiliary.items()} or None,
    )


def _network(record: NetworkRecord, pools: Sequence[Pool]) -> Network:
    by_version = {pool.subnet.version: pool for pool in pools}
    return Network(record, by_version.get(4), by_version.get(6))


def _check_name(name: str, existing: Collection[Network]) -> None:
    if not name:
        raise InvalidArgument("invalid name: ")
    if name in (*PREDEFINED, "default"):
        raise Forbidden(f"operation is not permitted on predefined {name} network ")
    if any(network.name == name for network in existing):
        raise Conflict(f"network with name {name} already exists")


def _check_driver(driver: str, request: NetworkCreateRequest) -> None:
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver == "overlay" or request.ingress or request.scope == "swarm":
        raise Unavailable(
            'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to'
            " swarm and try again."
        )
    if driver in ("macvlan", "ipvlan"):
        raise NotBuilt(f"{driver} networks are not built")
    if driver != "bridge":
        raise NotFound(f'plugin "{driver}" not found')
    if request.config_only or (request.config_from is not None and request.config_from.network):
        raise NotBuilt("config-only networks are not built")
    if request.ipam is not None and request.ipam.driver not in ("", "default"):
        raise NotFound(f'plugin "{request.ipam.driver}" not found')


def _pools(
    request: NetworkCreateRequest, *, existing: Collection[Network], in_use: Collection[Subnet], config: NetworkConfig
) -> tuple[list[Pool], bool]:
    """The pools, IPv4 first, and whether the user named a subnet."""
    listed = list((request.ipam.config if request.ipam else None) or ())
    own = [pool.subnet for network in existing for pool in network.pools]
    pools = [read_pool(entry) for entry in listed if entry.subnet]
    if any(overlaps(pool.subnet, own) for pool in pools):
        raise Forbidden(OVERLAP)
    found: dict[int, Pool] = {}
    for pool in pools:
        if pool.subnet.version in found:
            raise InvalidArgument(f"bridge driver doesn't support multiple IPv{pool.subnet.version} subnets")
        found[pool.subnet.version] = pool
    chosen = bool(found)
    rest = next((entry for entry in listed if not entry.subnet), IPAMConfig())
    if 4 not in found and request.enable_ipv4 is not False:
        found[4] = read_pool(rest, choose_subnet(config.pools, [*own, *in_use]))
    if 6 not in found and request.enable_ipv6:
        found[6] = read_pool(IPAMConfig(), random_ula())
    if request.enable_ipv6 is False:
        found.pop(6, None)
    if not found:
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    return [found[version] for version in sorted(found)], chosen
