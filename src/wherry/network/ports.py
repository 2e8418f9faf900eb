"""Published ports: what was asked for, and the holding of host ports.

A host port belongs to one endpoint. The daemon holds it with a bound socket that never answers, so that another program
which wants the port is told EADDRINUSE; the traffic itself is turned away before it would reach that socket. After a
restart the sockets are opened again from the endpoints that live.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from wherry.lib.errors import InvalidArgument
from wherry.state.network import PublishedPort
from wherry.wire.network import PortBinding, PortMap

Address = IPv4Address | IPv6Address

PROTOCOLS = ("tcp", "udp", "sctp")
_SPEC = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


class Holder(Protocol):
    """What keeps a host port ours as long as it is open."""

    def close(self) -> None:
        """Let go of the port."""


Bind = Callable[[str, str, int], Holder | None]
"""Protocol, host address, port → holder; raises OSError when the port cannot be had."""


class PortTaken(Exception):
    """A host port cannot be had; the text says which and why, in Docker's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRequest:
    """A container's port to be published on one of the host ports ``first`` to ``last``; 0 is any."""

    protocol: str
    port: int
    host_ip: str
    """Empty when none was named."""
    first: int = 0
    last: int = 0


def parse_port(text: str) -> tuple[int, str]:
    """``80/tcp`` as number and protocol; the protocol is tcp when it is left out. Raises InvalidArgument."""
    number, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {protocol}")
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise InvalidArgument(f'invalid port specification: "{number}"')
    return int(number), protocol


def validate_port_bindings(bindings: PortMap) -> None:
    """Refuse a ``HostConfig.PortBindings`` that cannot be carried out. Raises InvalidArgument."""
    list(requests(bindings, (), publish_all=False))


def requests(bindings: PortMap, exposed: Iterable[str], *, publish_all: bool) -> Iterator[PortRequest]:
    """Every port to publish, by container port, then as the user listed them. Raises InvalidArgument."""
    wanted: dict[tuple[int, str], Sequence[PortBinding]] = {}
    for spec, bound in bindings.items():
        wanted[parse_port(spec)] = bound or ()
    if publish_all:
        for spec in exposed:
            key = parse_port(spec)
            wanted[key] = wanted.get(key) or (PortBinding(),)
    for (port, protocol), listed in sorted(wanted.items(), key=lambda item: item[0]):
        for binding in listed:
            first, last = _host_range(binding.host_port)
            host_ip = _host_ip(binding.host_ip)
            yield PortRequest(protocol=protocol, port=port, host_ip=host_ip, first=first, last=last)


def port_map(published: Collection[PublishedPort], exposed: Iterable[str]) -> PortMap:
    """``NetworkSettings.Ports``: the published ports, and null for those that are only exposed."""
    result: PortMap = {}
    for spec in exposed:
        number, protocol = parse_port(spec)
        result[f"{number}/{protocol}"] = None
    for entry in published:
        key = f"{entry.port}/{entry.protocol}"
        result[key] = [*(result.get(key) or ()), PortBinding(host_ip=entry.host_ip, host_port=str(entry.host_port))]
    return result


def _host_range(text: str) -> tuple[int, int]:
    if not text:
        return 0, 0
    match = _SPEC.fullmatch(text.partition("/")[0])
    first = int(match[1]) if match else 65536
    last = int(match[2] or first) if match else 0
    if not first <= last < 65536:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return first, last


def _host_ip(text: str) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {text}") from None


class PortTable:
    """The host ports that are held, by endpoint. Blocking; one user at a time."""

    def __init__(self, ephemeral: tuple[int, int], bind: Bind | None = None) -> None:
        """``ephemeral`` is the range that unnamed host ports come from, both ends included; ``bind`` holds a port."""
        self._ephemeral = ephemeral
        self._bind = bind or bind_socket
        self._next = ephemeral[0]
        self._held: dict[str, list[tuple[PublishedPort, Holder | None]]] = {}

    def reserve(self, owner: str, wanted: Iterable[PortRequest], target: str) -> tuple[PublishedPort, ...]:
        """Hold a host port for each request, or none. ``target`` is the container's address, for error messages.

        Raises PortTaken.
        """
        held = self._held.setdefault(owner, [])
        before = len(held)
        try:
            for request in wanted:
                held.append(self._reserve_one(request, target))
        except PortTaken:
            _close(held[before:])
            del held[before:]
            raise
        return tuple(entry for entry, _ in held[before:])

    def hold_again(self, owner: str, published: Iterable[PublishedPort]) -> list[PublishedPort]:
        """Hold the ports that a live endpoint already has; returns those that another program took meanwhile."""
        lost: list[PublishedPort] = []
        held = self._held.setdefault(owner, [])
        for entry in published:
            holder: Holder | None = None
            try:
                holder = self._bind(entry.protocol, entry.host_ip, entry.host_port)
            except OSError:
                lost.append(entry)
            held.append((entry, holder))
        return lost

    def release(self, owner: str) -> tuple[PublishedPort, ...]:
        """Let go of an endpoint's ports; returns what they were."""
        held = self._held.pop(owner, [])
        _close(held)
        return tuple(entry for entry, _ in held)

    def rename(self, owner: str, new_owner: str) -> None:
        """Give an endpoint's ports to another one."""
        held = self._held.pop(owner, [])
        if held:
            self._held.setdefault(new_owner, []).extend(held)

    def close(self) -> None:
        """Let go of everything."""
        for owner in list(self._held):
            self.release(owner)

    def _reserve_one(self, request: PortRequest, target: str) -> tuple[PublishedPort, Holder | None]:
        if request.first and request.first == request.last:
            return self._take(request, request.first, target)
        refusal = PortTaken("all ports are allocated")
        for number in self._candidates(request):
            try:
                taken = self._take(request, number, target)
            except PortTaken as error:
                refusal = error
                continue
            if not request.first:
                self._next = number + 1
            return taken
        raise refusal

    def _candidates(self, request: PortRequest) -> Iterator[int]:
        if request.first:
            yield from range(request.first, request.last + 1)
            return
        first, last = self._ephemeral
        start = self._next if first <= self._next <= last else first
        yield from range(start, last + 1)
        yield from range(first, start)

    def _take(self, request: PortRequest, number: int, target: str) -> tuple[PublishedPort, Holder | None]:
        if any(_conflict(entry, request, number) for held in self._held.values() for entry, _ in held):
            raise PortTaken(f"Bind for {_join(request.host_ip, number)} failed: port is already allocated")
        try:
            holder = self._bind(request.protocol, request.host_ip, number)
        except OSError as error:
            place = f"{_join(request.host_ip, number)}:{target}:{request.port}/{request.protocol}"
            reason = {errno.EADDRNOTAVAIL: "cannot assign requested address"}.get(
                error.errno or 0, (error.strerror or str(error)).lower()
            )
            raise PortTaken(f"failed to bind host port for {place}: {reason}") from None
        entry = PublishedPort(protocol=request.protocol, port=request.port, host_ip=request.host_ip, host_port=number)
        return entry, holder


def _conflict(entry: PublishedPort, request: PortRequest, number: int) -> bool:
    if entry.host_port != number or entry.protocol != request.protocol:
        return False
    one, other = ipaddress.ip_address(entry.host_ip), ipaddress.ip_address(request.host_ip)
    return one.version == other.version and (one == other or one.is_unspecified or other.is_unspecified)


def bind_socket(protocol: str, host_ip: str, number: int) -> socket.socket | None:
    """A socket that holds a port and does nothing with it. None for SCTP, which kernels may lack. Raises OSError."""
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    if protocol == "sctp":
        return None
    with contextlib.ExitStack() as undo:
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        holder = undo.enter_context(socket.socket(family, kind | socket.SOCK_CLOEXEC))
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            _bind_past_time_wait(holder, host_ip, number)
        else:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # nobody reads: keep nothing
            holder.bind((host_ip, number))
        undo.pop_all()
        return holder


def _bind_past_time_wait(holder: socket.socket, host_ip: str, number: int) -> None:
    """Bind although connections of an earlier server linger, yet exclusively.

    SO_REUSEADDR alone would let two such sockets share the port as long as neither listens. Listening for a moment
    makes the kernel look for every other holder; without the option afterwards it refuses whoever comes later.
    """
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((host_ip, number))
    holder.listen(0)
    holder.shutdown(socket.SHUT_RD)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def _close(held: Iterable[tuple[PublishedPort, Holder | None]]) -> None:
    for _, holder in held:
        if holder is not None:
            holder.close()


def _join(host_ip: str, number: int) -> str:
    return f"[{host_ip}]:{number}" if ":" in host_ip else f"{host_ip}:{number}"
