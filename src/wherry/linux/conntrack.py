"""Connection tracking: making the kernel forget UDP flows whose translation has changed (ctnetlink).

A flow keeps the translation of its first packet for as long as packets come, and UDP has no new connection that would
end it. So a client that goes on sending would never reach the container that now has the port.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address

from wherry.linux.netlink import Message, Netlink, attribute, attributes

IPCTNL_MSG_CT_GET = 1 << 8 | 1
IPCTNL_MSG_CT_DELETE = 1 << 8 | 2

CTA_TUPLE_ORIG, CTA_TUPLE_REPLY = 1, 2
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_SRC, CTA_IP_V6_SRC = 1, 3
CTA_PROTO_NUM, CTA_PROTO_DST_PORT = 1, 3
_NESTED = 0x8000

_NFGENMSG = struct.Struct("=BBH")


def forget_udp(netlink: Netlink, *, addresses: Collection[IPv4Address | IPv6Address], ports: Collection[int]) -> int:
    """Delete UDP flows that are answered by one of ``addresses`` or go to one of the host ``ports``; how many.

    ``netlink`` is of the protocol NETLINK_NETFILTER. Raises NetlinkError.
    """
    doomed: list[Message] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        header = _NFGENMSG.pack(family, 0, 0)
        for _, body in netlink.dump(Message(IPCTNL_MSG_CT_GET, 0, header, "list tracked connections")):
            fields = dict(attributes(body[_NFGENMSG.size :]))
            origin = fields.get(CTA_TUPLE_ORIG, b"")
            if _is_udp(origin) and (
                _source(fields.get(CTA_TUPLE_REPLY, b"")) in addresses or _destination_port(origin) in ports
            ):
                tuple_ = attribute(CTA_TUPLE_ORIG | _NESTED, origin)
                doomed.append(Message(IPCTNL_MSG_CT_DELETE, 0, header + tuple_, "forget a UDP flow"))
    for message in doomed:
        netlink.send(message)
    return len(doomed)


def _is_udp(data: bytes) -> bool:
    return _protocol(data).get(CTA_PROTO_NUM) == bytes([socket.IPPROTO_UDP])


def _protocol(data: bytes) -> dict[int, bytes]:
    return dict(attributes(dict(attributes(data)).get(CTA_TUPLE_PROTO, b"")))


def _destination_port(data: bytes) -> int:
    return int.from_bytes(_protocol(data).get(CTA_PROTO_DST_PORT, b""), "big")


def _source(data: bytes) -> IPv4Address | IPv6Address | None:
    fields = dict(attributes(dict(attributes(data)).get(CTA_TUPLE_IP, b"")))
    packed = fields.get(CTA_IP_V4_SRC) or fields.get(CTA_IP_V6_SRC)
    return ip_address(packed) if packed else None
