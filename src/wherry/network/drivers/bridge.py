"""The bridge driver: a Linux bridge for each network, a veth pair for each endpoint."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from wherry.lib.errors import Forbidden, InvalidArgument
from wherry.lib.ids import short
from wherry.linux.netlink import NetlinkError
from wherry.linux.rtnetlink import (
    Link,
    add_address,
    add_bridge,
    add_veth,
    delete_address,
    delete_link,
    find_link,
    list_addresses,
    list_links,
    set_link,
    set_port,
)
from wherry.network.firewall import BridgeRules
from wherry.network.host import Host, read_sysctl, write_sysctl
from wherry.network.ipam import Pool
from wherry.network.ledger import Network
from wherry.network.model import NetnsHandle
from wherry.state.network import EndpointRecord

NAME = "com.docker.network.bridge.name"
MTU = "com.docker.network.driver.mtu"
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
BINDING = "com.docker.network.bridge.host_binding_ipv4"
DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge"

OURS = "made by wherry"
"""The alias of a bridge that we made."""
FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}

_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOptions:
    """A bridge network's options, read."""

    interface: str
    mtu: int
    icc: bool
    masquerade: bool
    binding: str
    """Host address of published ports that name none; empty is the daemon's default."""


def read_options(network: Network, default_mtu: int = 1500) -> BridgeOptions:
    """The options of a network. Raises InvalidArgument in Docker's words."""
    options = network.record.options
    interface = options.get(NAME, "") or f"br-{short(network.id)}"
    if _INTERFACE.fullmatch(interface) is None or interface in (".", ".."):
        raise InvalidArgument(f"invalid network config: {NAME} value: {interface}: not a valid interface name")
    return BridgeOptions(
        interface=interface,
        mtu=_integer(MTU, options.get(MTU, "")) or default_mtu,
        icc=_boolean(ICC, options.get(ICC, "")),
        masquerade=_boolean(MASQUERADE, options.get(MASQUERADE, "")),
        binding=options.get(BINDING, ""),
    )


def _integer(name: str, text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or int(text) > 65535:
        raise InvalidArgument(f'failed to parse {name} value: {text} (strconv.Atoi: parsing "{text}": invalid syntax)')
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text in _FALSE:
        return False
    if text and text not in _TRUE:
        raise InvalidArgument(
            f'failed to parse {name} value: {text} (strconv.ParseBool: parsing "{text}": invalid syntax)'
        )
    return True


class BridgeDriver:
    """Networks that are bridges."""

    kind = "bridge"
    single = False
    addressed = True

    def __init__(self, default_mtu: int, *, ip_forward: bool) -> None:
        self._default_mtu = default_mtu
        self._ip_forward = ip_forward

    def options(self, network: Network) -> BridgeOptions:
        """A network's options with the daemon's defaults."""
        return read_options(network, self._default_mtu)

    def check(self, network: Network, others: Collection[Network]) -> None:
        """Refuse unreadable options and a bridge that another network has."""
        mine = self.options(network)
        for other in others:
            if self.options(other).interface == mine.interface:
                raise Forbidden(
                    f"cannot create network {network.id} ({mine.interface}): conflicts with network {other.id}"
                    f" ({mine.interface}): networks have same bridge name"
                )

    def rules(self, network: Network) -> BridgeRules:
        """Its part of the firewall."""
        options = self.options(network)
        return BridgeRules(
            interface=options.interface,
            subnets=tuple(pool.subnet for pool in network.pools),
            internal=network.record.internal,
            icc=options.icc,
            masquerade=options.masquerade,
        )

    def up(self, host: Host, network: Network) -> None:
        """Make the bridge, or bring one that is there into shape."""
        options = self.options(network)
        link = self._bridge(host, network, options)
        wanted = {_interface(pool) for pool in network.pools}
        present = {interface for index, interface in list_addresses(host.netlink) if index == link.index}
        stale = {interface for interface in present - wanted if not interface.is_link_local}
        _settings(options.interface, ipv6=network.pool6 is not None)
        if self._ip_forward:
            for pool in network.pools:
                write_sysctl(FORWARDING[pool.subnet.version], "1")
        host.netlink.send(
            *(delete_address(link.index, interface) for interface in stale),
            *(add_address(link.index, interface) for interface in wanted - present),
            set_link(index=link.index, up=True, mtu=options.mtu),
        )

    def down(self, host: Host, network: Network) -> None:
        """Remove the bridge, unless it was there before the network."""
        name = self.options(network).interface
        if any(link.name == name and link.alias == OURS for link in list_links(host.netlink)):
            _delete(host, name)

    def attach(self, host: Host, network: Network, endpoint: EndpointRecord, netns: NetnsHandle) -> None:
        """Make the veth pair; a bridge that somebody removed comes back."""
        options = self.options(network)
        try:
            master = find_link(host.netlink, options.interface).index
        except NetlinkError:
            self.up(host, network)
            master = find_link(host.netlink, options.interface).index
        veth = add_veth(
            endpoint.link,
            master=master,
            mtu=options.mtu,
            peer=endpoint.interface,
            peer_mac=endpoint.mac,
            peer_ns=netns.ns_fd,
        )
        hairpin = _bridged_packets_are_filtered()
        port = set_port(endpoint.link, hairpin=hairpin, isolated=not options.icc)
        host.netlink.send(veth, *([port] if hairpin or not options.icc else []))

    def detach(self, host: Host, network: Network, endpoint: EndpointRecord) -> None:  # noqa: ARG002
        """Remove the pair."""
        _delete(host, endpoint.link)

    def strays(self, host: Host, network: Network, endpoints: Collection[EndpointRecord]) -> list[str]:
        """Veth ports of the bridge that belong to no endpoint."""
        interface = self.options(network).interface
        links = list_links(host.netlink)
        master = next((link.index for link in links if link.name == interface), 0)
        known = {endpoint.link for endpoint in endpoints}
        return [
            link.name
            for link in links
            if master and link.master == master and link.kind == "veth" and link.name not in known
        ]

    @staticmethod
    def _bridge(host: Host, network: Network, options: BridgeOptions) -> Link:
        try:
            link = find_link(host.netlink, options.interface)
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise
            mac = "02:42:" + bytes.fromhex(network.id[:8]).hex(":")
            made = add_bridge(options.interface, mac=mac, mtu=options.mtu)
            host.netlink.send(made, set_link(options.interface, alias=OURS))
            link = find_link(host.netlink, options.interface)
        if link.kind != "bridge":
            raise FileExistsError(errno.EEXIST, "the interface exists and is no bridge", options.interface)
        return link


def _interface(pool: Pool) -> IPv4Interface | IPv6Interface:
    text = f"{pool.gateway}/{pool.subnet.prefixlen}"
    return IPv4Interface(text) if pool.subnet.version == 4 else IPv6Interface(text)


def _settings(interface: str, *, ipv6: bool) -> None:
    """Let 127.0.0.1 reach published ports by way of the bridge; keep IPv6 off a bridge that has none."""
    write_sysctl(f"net/ipv4/conf/{interface}/route_localnet", "1")
    if os.path.isdir("/proc/sys/net/ipv6"):
        write_sysctl(f"net/ipv6/conf/{interface}/disable_ipv6", "0" if ipv6 else "1")
        write_sysctl(f"net/ipv6/conf/{interface}/accept_ra", "0")


def _bridged_packets_are_filtered() -> bool:
    """Whether br_netfilter is on: DNAT then happens on the bridge, and a packet to oneself must leave by the same port.

    Otherwise hairpin mode stays off, because a port would hear its own broadcasts.
    """
    try:
        return read_sysctl("net/bridge/bridge-nf-call-iptables") == "1"
    except OSError:
        return False


def _delete(host: Host, link: str) -> None:
    try:
        host.netlink.send(delete_link(link))
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise
