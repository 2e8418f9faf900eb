"""/etc/hosts and /etc/resolv.conf of a container, byte for byte as Docker writes them. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wherry.lib.errors import InvalidArgument

HOSTS_HEAD = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)
FALLBACK_NAMESERVERS = ("8.8.8.8", "8.8.4.4")
"""What Docker writes when the host has nothing but loopback resolvers."""
HOST_GATEWAY = "host-gateway"

_LOOPBACK_NAMESERVER = re.compile(r"^nameserver\s+(?:127\.\S+|::1)\s*\n*", re.MULTILINE)
_IPV6_NAMESERVER = re.compile(r"^nameserver\s+[0-9a-fA-F.]*:\S*\s*\n*", re.MULTILINE)
_NAMESERVER = re.compile(r"^nameserver\s", re.MULTILINE)


def hosts(
    *,
    hostname: str,
    domainname: str,
    addresses: Iterable[str],
    extra: Iterable[str],
    gateway: str,
    names: Iterable[tuple[str, str]] = (),
) -> bytes:
    """/etc/hosts: the fixed head, the extra hosts, then each address of the container with its own name.

    ``names`` are further lines (address, names) after that. ``gateway`` stands for ``host-gateway``.
    """
    own = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    lines = _extra_lines(extra, gateway)
    lines += [f"{address}\t{own}\n" for address in addresses]
    lines += [f"{address}\t{listed}\n" for address, listed in names]
    return (HOSTS_HEAD + "".join(lines)).encode()


def hosts_on_host(original: bytes, extra: Iterable[str], gateway: str) -> bytes:
    """/etc/hosts in host mode: the host's own and the extra hosts."""
    return original + "".join(_extra_lines(extra, gateway)).encode()


def _extra_lines(extra: Iterable[str], gateway: str) -> list[str]:
    pairs = map(extra_host, extra)
    return [f"{gateway if address == HOST_GATEWAY else address}\t{name}\n" for name, address in pairs]


def extra_host(text: str) -> tuple[str, str]:
    """``name:address`` or ``name=address`` as a pair. Raises InvalidArgument in Docker's words."""
    name, separator, address = text.partition("=" if "=" in text else ":")
    address = address.removeprefix("[").removesuffix("]")
    if not separator or not name:
        raise InvalidArgument(f'bad format for add-host: "{text}"')
    if address != HOST_GATEWAY:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from None
    return name, address


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    """What resolv.conf(5) says."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def render(self) -> bytes:
        """As Docker's builder writes it."""
        lines = [f"search {' '.join(self.search)}\n"] if self.search and self.search != (".",) else []
        lines += [f"nameserver {server}\n" for server in self.nameservers]
        if "".join(self.options).strip():
            lines.append(f"options {' '.join(self.options)}\n")
        return "".join(lines).encode()


def parse_resolv_conf(text: str) -> ResolvConf:
    """Read a resolv.conf; the last search (or domain) line counts, options add up, comments are dropped."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        keyword, *values = re.split(r"[#;]", line, maxsplit=1)[0].split() or [""]
        if keyword == "nameserver" and values:
            servers.append(values[0])
        elif keyword in ("search", "domain"):
            search = tuple(values)
        elif keyword == "options":
            options.extend(values)
    return ResolvConf(nameservers=tuple(servers), search=search, options=tuple(options))


def override(base: ResolvConf, dns: Sequence[str], search: Sequence[str], options: Sequence[str]) -> ResolvConf:
    """``base`` with each part that the user gave in its place."""
    return ResolvConf(
        nameservers=tuple(dns) or base.nameservers,
        search=tuple(search) or base.search,
        options=tuple(options) or base.options,
    )


def without_loopback(text: str, *, ipv6: bool = False) -> str:
    """The host's resolv.conf without the resolvers that a container cannot reach, else with Docker's fallback."""
    cleaned = _LOOPBACK_NAMESERVER.sub("", text)
    if not ipv6:
        cleaned = _IPV6_NAMESERVER.sub("", cleaned)
    if _NAMESERVER.search(cleaned):
        return cleaned
    return cleaned + "\n" + "\n".join(f"nameserver {server}" for server in FALLBACK_NAMESERVERS)
