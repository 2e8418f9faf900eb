"""Registries that may be spoken to without TLS, or with a certificate that nobody vouches for.

Host names, with or without a port, and networks. The loopback networks are always among them, as in Docker: a registry
on this machine is tried by TLS first, then without.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from wherry.lib.errors import InvalidArgument

Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (IPv6Network("::1/128"), IPv4Network("127.0.0.0/8"))
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[A-Fa-f0-9:]+\])(?::(\d+))?")


@dataclass(frozen=True, slots=True)
class Insecure:
    """The rule. ``hosts`` are as in an image's name; ``networks`` hold whatever a host's name resolves to."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = LOOPBACK

    def covers(self, netloc: str) -> bool:
        """Whether ``host[:port]`` may be insecure. Resolves the name; one without an address may not."""
        if netloc in self.hosts:
            return True
        addresses = _addresses(_host_of(netloc))
        return any(address in network for address in addresses for network in self.networks)


def parse_insecure(registries: Iterable[str]) -> Insecure:
    """The rule that ``insecure-registries`` gives. Raises InvalidArgument in dockerd's words."""
    hosts: set[str] = set()
    networks: list[Network] = []
    for given in registries:
        entry = _without_scheme(_checked_name(given))
        try:
            network: Network | None = ip_network(entry, strict=False) if "/" in entry else None
        except ValueError:
            network = None
        if network is not None:
            networks.append(network)
        else:
            _check_host(entry)
            hosts.add(entry)
    unique = dict.fromkeys((*networks, *LOOPBACK))
    return Insecure(frozenset(hosts), tuple(unique))


def _checked_name(given: str) -> str:
    name = "docker.io" if given == "index.docker.io" else given
    if name.startswith("-") or name.endswith("-"):
        raise InvalidArgument(f"invalid index name ({name}). Cannot begin or end with a hyphen")
    return given


def _without_scheme(given: str) -> str:
    scheme, separator, rest = given.partition("://")
    if not separator:
        return given
    if scheme.lower() not in {"http", "https"}:
        raise InvalidArgument(f"insecure registry {given} should not contain '://'")
    return rest


def _check_host(entry: str) -> None:
    match = _HOST.fullmatch(entry)
    if match is None:
        try:
            ip_address(_host_of(entry))
        except ValueError:
            host = _host_of(entry)
            raise InvalidArgument(f'insecure registry {entry} is not valid: invalid host "{host}"') from None
    elif match[2] and int(match[2]) > 65535:
        raise InvalidArgument(f'insecure registry {entry} is not valid: invalid port "{match[2]}"')


def _host_of(netloc: str) -> str:
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc.partition(":")[0] if netloc.count(":") == 1 else netloc


def _addresses(host: str) -> set[object]:
    try:
        found: set[object] = {ip_address(host)}
    except ValueError:
        try:
            found = {ip_address(str(entry[4][0]).partition("%")[0]) for entry in socket.getaddrinfo(host, None)}
        except (OSError, UnicodeError):
            return set()
    return {getattr(address, "ipv4_mapped", None) or address for address in found}
