"""The firewall: one table ``inet <name>``, written as a value, printed as text, swapped in as a whole.

    prerouting, output → published   host address and port → container, by map (a port is an element, not a rule)
    postrouting                      masquerade what leaves the bridges, and what must come back through the host
    forward                          bridges apart, internal ones closed, from outside only what was published
    raw                              127.0.0.0/8 stays out of reach of containers although route_localnet is on

Foreign tables are never touched; a verdict of accept here does not overrule a drop there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from wherry.lib.errors import InvalidArgument
from wherry.linux import nftables
from wherry.linux.nftables import Change, Nftables, NftablesError, quote
from wherry.state.network import PublishedPort

PROTOCOLS = "{ tcp, udp, sctp }"


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeRules:
    """What the firewall must know of one bridge network."""

    interface: str
    subnets: tuple[IPv4Network | IPv6Network, ...]
    internal: bool = False
    """Nothing in, nothing out."""
    icc: bool = True
    """Its containers may talk to each other."""
    masquerade: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PortRule:
    """A published port and the container address behind it."""

    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int

    @property
    def map(self) -> str:
        """The map that it is an element of."""
        family = ipaddress.ip_address(self.host_ip)
        return f"{'any' if family.is_unspecified else 'one'}{family.version}"

    @property
    def element(self) -> str:
        """The element as nft writes it."""
        host = "" if ipaddress.ip_address(self.host_ip).is_unspecified else f"{self.host_ip} . "
        return f"{self.protocol} . {host}{self.host_port} : {self.address} . {self.port}"


def rules_for(published: Iterable[PublishedPort], ipv4: str, ipv6: str) -> list[PortRule]:
    """The rules for an endpoint's ports: each to its address of the host address's family, if it has one."""
    rules = []
    for entry in published:
        target = ipv6 if ":" in entry.host_ip else ipv4
        if target:
            rule = PortRule(
                protocol=entry.protocol,
                host_ip=entry.host_ip,
                host_port=entry.host_port,
                address=target,
                port=entry.port,
            )
            rules.append(rule)
    return rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """All that the table says."""

    table: str
    bridges: tuple[BridgeRules, ...] = ()
    ports: frozenset[PortRule] = field(default_factory=frozenset)


def render(ruleset: Ruleset) -> str:
    """The transaction that puts ``ruleset`` in place of whatever the table held."""
    bridges, ports = ruleset.bridges, sorted(ruleset.ports)
    names = [quote(bridge.interface) for bridge in bridges]
    inside = [f"{name} . {name}" for name, bridge in zip(names, bridges, strict=True) if bridge.icc]
    internal = [name for name, bridge in zip(names, bridges, strict=True) if bridge.internal]
    sets = [
        _set("bridges", "ifname", names),
        _set("inside", "ifname . ifname", inside),
        _set("internal", "ifname", internal),
        *(
            block
            for version in (4, 6)
            for block in (
                _set(f"local{version}", f"ifname . ipv{version}_addr", _local(bridges, version), interval=True),
                _set(f"masked{version}", f"ipv{version}_addr", _masked(bridges, version), interval=True),
                _map(f"one{version}", f"inet_proto . ipv{version}_addr . inet_service", version, ports),
                _map(f"any{version}", "inet_proto . inet_service", version, ports),
            )
        ),
    ]
    head = f"add table inet {ruleset.table}\ndelete table inet {ruleset.table}\ntable inet {ruleset.table} {{\n"
    return head + "".join(sets) + _CHAINS + "}\n"


def change_ports(table: str, verb: str, ports: Iterable[PortRule]) -> str:
    """The transaction that does ``verb`` (add, delete) to the elements of ``ports``."""
    lines = []
    for rule in sorted(ports):
        element = rule.element if verb == "add" else rule.element.partition(" : ")[0]
        lines.append(f"{verb} element inet {table} {rule.map} {{ {element} }}")
    return "\n".join(lines)


def _set(name: str, kind: str, elements: list[str], *, interval: bool = False) -> str:
    flags = "\t\tflags interval\n" if interval else ""
    body = f"\t\telements = {{ {', '.join(elements)} }}\n" if elements else ""
    return f"\tset {name} {{\n\t\ttype {kind}\n{flags}{body}\t}}\n"


def _map(name: str, kind: str, version: int, ports: Iterable[PortRule]) -> str:
    elements = [rule.element for rule in ports if rule.map == name]
    body = f"\t\telements = {{ {', '.join(elements)} }}\n" if elements else ""
    return f"\tmap {name} {{\n\t\ttype {kind} : ipv{version}_addr . inet_service\n{body}\t}}\n"


def _local(bridges: Iterable[BridgeRules], version: int) -> list[str]:
    return [
        f"{quote(bridge.interface)} . {subnet}"
        for bridge in bridges
        for subnet in bridge.subnets
        if subnet.version == version
    ]


def _masked(bridges: Iterable[BridgeRules], version: int) -> list[str]:
    return [
        str(subnet)
        for bridge in bridges
        if bridge.masquerade and not bridge.internal
        for subnet in bridge.subnets
        if subnet.version == version
    ]


_CHAINS = f"""\
	chain raw {{
		type filter hook prerouting priority -300; policy accept;
		iifname @bridges ip daddr 127.0.0.0/8 drop
	}}
	chain published {{
		dnat ip to meta l4proto . ip daddr . th dport map @one4
		fib daddr type local dnat ip to meta l4proto . th dport map @any4
		dnat ip6 to meta l4proto . ip6 daddr . th dport map @one6
		fib daddr type local dnat ip6 to meta l4proto . th dport map @any6
	}}
	chain prerouting {{
		type nat hook prerouting priority -100; policy accept;
		iifname @internal return
		ip daddr 127.0.0.0/8 return
		meta l4proto {PROTOCOLS} jump published
	}}
	chain output {{
		type nat hook output priority -100; policy accept;
		ip6 daddr ::1 return
		meta l4proto {PROTOCOLS} jump published
	}}
	chain postrouting {{
		type nat hook postrouting priority 100; policy accept;
		ct status dnat oifname . ip saddr @local4 masquerade
		ct status dnat oifname . ip6 saddr @local6 masquerade
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		oifname != @bridges ip saddr @masked4 masquerade
		oifname != @bridges ip6 saddr @masked6 masquerade
	}}
	chain forward {{
		type filter hook forward priority 0; policy accept;
		ct state established,related accept
		iifname . oifname @inside accept
		iifname @internal drop
		oifname @internal drop
		oifname @bridges ct status dnat accept
		oifname @bridges drop
	}}
"""


class Firewall:
    """The table in the kernel, kept equal to a ``Ruleset``. Blocking; one user at a time."""

    def __init__(self, table: str) -> None:
        """Raises InvalidArgument for a name that nft does not take, OSError when nftables cannot be had."""
        if not nftables.is_identifier(table):
            raise InvalidArgument(f"not a name for an nftables table: {table!r}")
        self._nft = Nftables()
        self._wanted = Ruleset(table=table)

    @property
    def table(self) -> str:
        """The table's name."""
        return self._wanted.table

    def replace(self, bridges: tuple[BridgeRules, ...], ports: Iterable[PortRule] | None = None) -> None:
        """Swap the table for one with ``bridges`` and ``ports`` (None keeps those there are). Raises NftablesError."""
        kept = self._wanted.ports if ports is None else frozenset(ports)
        self._wanted = Ruleset(table=self.table, bridges=bridges, ports=kept)
        self.heal()

    def publish(self, ports: Iterable[PortRule]) -> None:
        """Add ports; a table that somebody damaged is written anew. Raises NftablesError."""
        added = frozenset(ports)
        self._change("add", added, self._wanted.ports | added)

    def withdraw(self, ports: Iterable[PortRule]) -> None:
        """Remove ports. Raises NftablesError."""
        removed = frozenset(ports) & self._wanted.ports
        self._change("delete", removed, self._wanted.ports - removed)

    def heal(self) -> None:
        """Write the whole table. Raises NftablesError."""
        self._nft.run(render(self._wanted))

    def altered(self) -> bool:
        """Whether the table in the kernel says something else than was written. Raises NftablesError.

        The kernel is asked for both: what should be there is written once more, as a table that is dormant.
        """
        try:
            there = self._nft.run(f"list table inet {self.table}")
        except NftablesError:
            return True
        other = f"{self.table}-check"
        text = render(Ruleset(table=other, bridges=self._wanted.bridges, ports=self._wanted.ports))
        head = f"table inet {other} {{\n"
        text = text.replace(head, f"{head}\tflags dormant\n", 1)
        try:
            self._nft.run(text)
            should = self._nft.run(f"list table inet {other}")
        finally:
            self._nft.run(f"add table inet {other}\ndelete table inet {other}")
        return _lines(there) != _lines(should)

    def remove(self) -> None:
        """Delete the table."""
        table = self.table
        self._nft.run(f"add table inet {table}\ndelete table inet {table}")

    def close(self) -> None:
        """Let go of libnftables; the table stays."""
        self._nft.close()

    def _change(self, verb: str, ports: frozenset[PortRule], result: frozenset[PortRule]) -> None:
        if not ports:
            return
        self._wanted = Ruleset(table=self.table, bridges=self._wanted.bridges, ports=result)
        try:
            self._nft.run(change_ports(self.table, verb, ports))
        except NftablesError:
            self.heal()


def _lines(table: str) -> list[list[str]]:
    """What a table says, whatever it is called; elements come in the order of the kernel's hash, so in none."""
    lines = [line.strip() for line in table.splitlines()[1:] if line.strip() not in ("", "flags dormant")]
    return [sorted(part.strip(" {}") for part in line.split(",")) for line in _joined(lines)]


def _joined(lines: Iterable[str]) -> list[str]:
    """Lines that nft has broken after a comma, whole again."""
    whole: list[str] = []
    for line in lines:
        if whole and whole[-1].endswith(","):
            whole[-1] += line
        else:
            whole.append(line)
    return whole


_LOSSES = (
    nftables.NFT_MSG_DELTABLE,
    nftables.NFT_MSG_DELCHAIN,
    nftables.NFT_MSG_DELRULE,
    nftables.NFT_MSG_DELSET,
)


def damaged(changes: Iterable[Change], table: str) -> bool:
    """Whether a transaction took something from ``table`` and did not write the table anew, as our own swaps do."""
    lost = False
    for change in changes:
        if change.table != table:
            continue
        if change.message in _LOSSES:
            lost = True
        elif change.message == nftables.NFT_MSG_NEWTABLE:
            lost = False
    return lost
