"""Links, addresses and routes: the messages of rtnetlink(7) that container networking needs, and what dumps tell.

Each function returns a ``Message`` for ``Netlink.send``; only ``find_link`` and ``list_*`` talk to it.
The kernel finds a link by name or index; addresses and routes want the index.
"""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

from wherry.linux.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    attribute,
    attributes,
    nested,
    text,
    u32,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_OPERSTATE = 1, 3, 4, 10, 16
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_NET_NS_FD = 18, 20, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED = 4, 33
VETH_INFO_PEER = 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD = 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC, RTA_TABLE = 1, 4, 5, 7, 15

IFF_UP = 0x1
IF_OPER_UP = 6
RT_TABLE_MAIN = 254
RTPROT_BOOT = 3
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RTN_UNICAST = 1

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Link:
    """A network device."""

    index: int
    name: str
    mac: str
    master: int
    """Index of the bridge that it is a port of; 0 is none."""
    mtu: int
    up: bool
    running: bool
    """Whether packets can pass (RFC 2863 "up"); a moment after both ends of a veth are up."""
    kind: str
    """``bridge``, ``veth`` …; empty for hardware."""
    alias: str
    """A free text that somebody gave it."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table; ``destination`` is None for the default route."""

    destination: Network | None
    gateway: Address | None
    index: int


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _IFINFO.pack(socket.AF_UNSPEC, 0, index, flags, change)


def _mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def add_bridge(name: str, *, mac: str, mtu: int) -> Message:
    """A bridge, up. Its MAC is set because an unset one changes with every port that comes and goes."""
    body = _ifinfo(flags=IFF_UP, change=IFF_UP) + text(IFLA_IFNAME, name) + attribute(IFLA_ADDRESS, _mac(mac))
    body += u32(IFLA_MTU, mtu) + nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "bridge"))
    return Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"create bridge {name}")


def add_veth(name: str, *, master: int, mtu: int, peer: str, peer_mac: str, peer_ns: int) -> Message:
    """A veth pair: ``name`` here, up, a port of bridge ``master``; ``peer`` in the namespace open at ``peer_ns``.

    The peer cannot be raised in the same message: it exists before its other end does (ENOTCONN).
    """
    other = _ifinfo() + text(IFLA_IFNAME, peer) + attribute(IFLA_ADDRESS, _mac(peer_mac))
    other += u32(IFLA_MTU, mtu) + u32(IFLA_NET_NS_FD, peer_ns)
    data = nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, other))
    body = _ifinfo(flags=IFF_UP, change=IFF_UP) + text(IFLA_IFNAME, name) + u32(IFLA_MTU, mtu)
    body += u32(IFLA_MASTER, master) + nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "veth"), data)
    return Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"create veth {name} for {peer}")


def set_port(name: str, *, hairpin: bool, isolated: bool) -> Message:
    """A bridge port's manners: ``hairpin`` sends frames back where they came from, ``isolated`` ports do not meet."""
    options = attribute(IFLA_BRPORT_MODE, bytes([hairpin])) + attribute(IFLA_BRPORT_ISOLATED, bytes([isolated]))
    slave = nested(IFLA_INFO_SLAVE_DATA, options)
    body = _ifinfo() + text(IFLA_IFNAME, name) + nested(IFLA_LINKINFO, text(IFLA_INFO_SLAVE_KIND, "bridge"), slave)
    return Message(RTM_NEWLINK, 0, body, f"set up bridge port {name}")


def set_link(
    name: str = "",
    *,
    index: int = 0,
    up: bool | None = None,
    master: int | None = None,
    mac: str = "",
    mtu: int = 0,
    rename: str = "",
    alias: str = "",
) -> Message:
    """Change a link found by name or by index; what is not given stays."""
    flags = IFF_UP if up else 0
    body = _ifinfo(index, flags, 0 if up is None else IFF_UP)
    if not index:
        body += text(IFLA_IFNAME, name)
    if rename:
        body += text(IFLA_IFNAME, rename)  # the kernel takes a name beside an index as the new name
    if alias:
        body += attribute(IFLA_IFALIAS, alias.encode())
    if master is not None:
        body += u32(IFLA_MASTER, master)
    if mac:
        body += attribute(IFLA_ADDRESS, _mac(mac))
    if mtu:
        body += u32(IFLA_MTU, mtu)
    return Message(RTM_NEWLINK, 0, body, f"change link {name or index}")


def delete_link(name: str) -> Message:
    """Remove a link; the other end of a veth goes with it. For a veth this waits 16 to 22 ms."""
    return Message(RTM_DELLINK, 0, _ifinfo() + text(IFLA_IFNAME, name), f"delete link {name}")


def get_link(name: str) -> Message:
    """Ask for one link by name, for ``Netlink.get``."""
    return Message(RTM_GETLINK, 0, _ifinfo() + text(IFLA_IFNAME, name), f"find link {name}")


def _address(index: int, interface: Interface) -> bytes:
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    flags = IFA_F_NODAD if interface.version == 6 else 0
    scope = RT_SCOPE_UNIVERSE
    body = _IFADDR.pack(family, interface.network.prefixlen, flags, scope, index)
    body += attribute(IFA_LOCAL, interface.ip.packed) + attribute(IFA_ADDRESS, interface.ip.packed)
    if isinstance(interface, IPv4Interface) and interface.network.prefixlen < 31:
        body += attribute(IFA_BROADCAST, interface.network.broadcast_address.packed)
    return body


def add_address(index: int, interface: Interface) -> Message:
    """Give a link an address; one that it already has is left as it is."""
    what = f"add address {interface} to link {index}"
    return Message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, _address(index, interface), what)


def delete_address(index: int, interface: Interface) -> Message:
    """Take an address from a link."""
    return Message(RTM_DELADDR, 0, _address(index, interface), f"delete address {interface} from link {index}")


def _route(destination: Network | None, gateway: Address | None, index: int, version: int) -> bytes:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    length = destination.prefixlen if destination else 0
    scope = RT_SCOPE_LINK if gateway is None and version == 4 else RT_SCOPE_UNIVERSE
    body = _RTMSG.pack(family, length, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0)
    if destination:
        body += attribute(RTA_DST, destination.network_address.packed)
    if gateway is not None:
        body += attribute(RTA_GATEWAY, gateway.packed)
    return body + u32(RTA_OIF, index)


def set_default_route(gateway: Address, index: int) -> Message:
    """Make ``gateway`` behind link ``index`` the default route, in place of another one."""
    body = _route(None, gateway, index, gateway.version)
    return Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, f"set default route via {gateway}")


def delete_default_route(gateway: Address, index: int) -> Message:
    """Remove the default route via ``gateway``."""
    body = _route(None, gateway, index, gateway.version)
    return Message(RTM_DELROUTE, 0, body, f"delete default route via {gateway}")


def add_route(destination: Network, index: int, gateway: Address | None = None) -> Message:
    """A route to ``destination``."""
    body = _route(destination, gateway, index, destination.version)
    return Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body, f"add route to {destination}")


def find_link(netlink: Netlink, name: str) -> Link:
    """The link called ``name``. Raises NetlinkError (ENODEV)."""
    return _parse_link(netlink.get(get_link(name)))


def list_links(netlink: Netlink) -> list[Link]:
    """Every link of the socket's namespace."""
    request = Message(RTM_GETLINK, 0, _ifinfo(), "list links")
    return [_parse_link(body) for kind, body in netlink.dump(request) if kind == RTM_NEWLINK]


def list_addresses(netlink: Netlink) -> list[tuple[int, Interface]]:
    """Every address, with the index of its link."""
    request = Message(RTM_GETADDR, 0, _IFADDR.pack(socket.AF_UNSPEC, 0, 0, 0, 0), "list addresses")
    found: list[tuple[int, Interface]] = []
    for kind, body in netlink.dump(request):
        if kind != RTM_NEWADDR:
            continue
        _, length, _, _, index = _IFADDR.unpack_from(body)
        fields = dict(attributes(body[_IFADDR.size :]))
        packed = fields.get(IFA_LOCAL) or fields.get(IFA_ADDRESS)
        if packed is not None:
            found.append((index, ip_interface(f"{ip_address(packed)}/{length}")))
    return found


def list_routes(netlink: Netlink) -> list[Route]:
    """The unicast routes of the main table, both families."""
    body = _RTMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0)
    replies = netlink.dump(Message(RTM_GETROUTE, 0, body, "list routes"))
    routes = (_parse_route(reply) for kind, reply in replies if kind == RTM_NEWROUTE)
    return [route for route in routes if route is not None]


def _parse_link(body: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    fields = dict(attributes(body[_IFINFO.size :]))
    info = dict(attributes(fields.get(IFLA_LINKINFO, b"")))
    return Link(
        index=index,
        name=fields.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        mac=fields.get(IFLA_ADDRESS, b"").hex(":"),
        master=_number(fields.get(IFLA_MASTER)),
        mtu=_number(fields.get(IFLA_MTU)),
        up=bool(flags & IFF_UP),
        running=fields.get(IFLA_OPERSTATE, b"") == bytes([IF_OPER_UP]),
        kind=info.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode(errors="replace"),
        alias=fields.get(IFLA_IFALIAS, b"").rstrip(b"\0").decode(errors="replace"),
    )


def _parse_route(body: bytes) -> Route | None:
    family, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(body)
    fields = dict(attributes(body[_RTMSG.size :]))
    if _number(fields.get(RTA_TABLE), table) != RT_TABLE_MAIN or kind != RTN_UNICAST:
        return None
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    packed, gateway = fields.get(RTA_DST), fields.get(RTA_GATEWAY)
    return Route(
        destination=ip_network(f"{ip_address(packed)}/{length}", strict=False) if packed and length else None,
        gateway=ip_address(gateway) if gateway else None,
        index=_number(fields.get(RTA_OIF)),
    )


def _number(value: bytes | None, default: int = 0) -> int:
    return default if value is None else int.from_bytes(value[:4], sys.byteorder)
