"""Address management, pure: which pool a network gets, and which address an endpoint.

Nothing is remembered here. What is taken is passed in, read from the endpoints that live, so an address cannot leak.
Docker's order is kept: the gateway is the first address of the pool, containers take the first one free.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from wherry.lib.errors import Forbidden, InvalidArgument, NotFound
from wherry.wire.network import IPAMConfig

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FULL = "no available addresses on this pool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The addresses of a network in one family."""

    subnet: Network
    range: Network
    """Where endpoints get theirs, within ``subnet``."""
    gateway: Address
    auxiliary: Mapping[str, Address] = field(default_factory=dict)
    """Addresses in use by something that is no container."""

    @property
    def reserved(self) -> frozenset[int]:
        """Addresses that no endpoint gets: the ends of the subnet, the gateway and the auxiliary ones."""
        return frozenset({*_ends(self.subnet), int(self.gateway), *(int(value) for value in self.auxiliary.values())})


def overlaps(subnet: Network, taken: Iterable[Network]) -> bool:
    """Whether ``subnet`` shares an address with one of ``taken``."""
    return any(subnet.version == other.version and subnet.overlaps(other) for other in taken)


def choose_subnet(pools: Sequence[tuple[IPv4Network, int]], taken: Collection[Network]) -> IPv4Network:
    """The first network of the default ``pools`` that overlaps nothing ``taken``. Raises NotFound."""
    for block, prefix in pools:
        for candidate in block.subnets(new_prefix=max(prefix, block.prefixlen)):
            if not overlaps(candidate, taken):
                return candidate
    raise NotFound(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    )


def random_ula() -> IPv6Network:
    """A fresh unique local /64 (RFC 4193), for an IPv6 network that names no subnet."""
    return IPv6Network((b"\xfd" + secrets.token_bytes(5) + bytes(10), 64))


def read_pool(config: IPAMConfig, subnet: Network | None = None) -> Pool:
    """A pool from its configuration; ``subnet`` stands in where none is given. Raises InvalidArgument, Forbidden."""
    network = subnet if subnet is not None and not config.subnet else parse_subnet(config.subnet)
    within = _range(config, network)
    auxiliary = {
        name: _within(address, network, f"no matching subnet for aux-address {address}")
        for name, address in (config.auxiliary_addresses or {}).items()
    }
    if config.gateway:
        gateway = _within(
            config.gateway, network, f"failed to allocate gateway ({config.gateway}): Requested address is out of range"
        )
        if int(gateway) in {int(address) for address in auxiliary.values()}:
            raise Forbidden("failed to allocate gateway (" + config.gateway + "): Address already in use")
    else:
        gateway = _first_free(within, {*_ends(network), *(int(address) for address in auxiliary.values())})
    return Pool(subnet=network, range=within, gateway=gateway, auxiliary=auxiliary)


def parse_subnet(text: str) -> Network:
    """A subnet as the user wrote it; host bits are dropped as Docker does. Raises InvalidArgument in its words."""
    refusal = f"Invalid subnet {text} : invalid CIDR address: {text}"
    if "/" not in text:
        raise InvalidArgument(refusal)
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidArgument(refusal) from None


def allocate(pool: Pool, used: Collection[int], wanted: Address | None = None) -> Address:
    """An address for an endpoint: ``wanted``, or the first one free. Raises InvalidArgument, Forbidden."""
    if wanted is None:
        return _first_free(pool.range, pool.reserved.union(used), FULL)
    if wanted not in pool.subnet:
        raise InvalidArgument(f"Invalid address {wanted}: It does not belong to any of this network's subnets")
    if int(wanted) in used or int(wanted) in pool.reserved:
        raise Forbidden("Address already in use")
    return wanted


def default_mac(address: Address) -> str:
    """Docker's MAC for an address: 02:42 and its last four bytes."""
    return "02:42:" + address.packed[-4:].hex(":")


def parse_mac(text: str) -> str:
    """A unicast Ethernet address in lower case. Raises InvalidArgument."""
    digits = text.replace("-", ":").lower().split(":")
    if len(digits) != 6 or any(len(pair) != 2 or not set(pair) <= set("0123456789abcdef") for pair in digits):
        raise InvalidArgument(f"{text} is not a valid mac address")
    if int(digits[0], 16) & 1:
        raise InvalidArgument(f"{text} is not a valid mac address: it is a multicast address")
    return ":".join(digits)


def _range(config: IPAMConfig, subnet: Network) -> Network:
    if not config.ip_range:
        return subnet
    try:
        within = ipaddress.ip_network(config.ip_range, strict=False)
    except ValueError:
        raise InvalidArgument(f"Invalid ip range {config.ip_range} : invalid CIDR address: {config.ip_range}") from None
    if within.version != subnet.version or not within.subnet_of(subnet):  # type: ignore[arg-type]  # same version
        raise InvalidArgument(f"no matching subnet for range {config.ip_range}")
    return within


def _within(text: str, subnet: Network, otherwise: str) -> Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidArgument(f"invalid gateway address {text} in Ipam configuration") from None
    if address not in subnet:
        raise InvalidArgument(otherwise)
    return address


def _first_free(within: Network, taken: Collection[int], refusal: str = "") -> Address:
    start = int(within.network_address)
    for number in range(start, start + within.num_addresses):
        if number not in taken:
            return type(within.network_address)(number)
    raise Forbidden(refusal or f"failed to allocate gateway (): {FULL}")


def _ends(subnet: Network) -> set[int]:
    """The addresses of a subnet that name all of it; IPv6 has no broadcast."""
    ends = {int(subnet.network_address)}
    if subnet.version == 4:
        ends.add(int(subnet.broadcast_address))
    return ends
