"""HTTP proxies and the hosts that are reached without one, by the rules of Go's ``httpproxy`` that dockerd follows.

``no_proxy`` is a list with commas: ``*`` is every host, ``10.0.0.0/8`` a network, ``example.com`` the host and all
below it, ``.example.com`` only those below; each may have a ``:port``. Loopback is never proxied.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from wherry.lib.errors import InvalidArgument
from wherry.transfer.remote.url import Url, parse_url


@dataclass(frozen=True, slots=True)
class Proxy:
    """``authorization`` is the value of Proxy-Authorization, empty for none."""

    url: Url
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.url})"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The rule of one daemon, as it was written; empty is none."""

    http: str = ""
    https: str = ""
    none: str = ""

    def proxy_for(self, url: Url) -> Proxy | None:
        """The proxy for ``url``, None for the direct way. Raises InvalidArgument for a proxy that is no URL."""
        written = self.https if url.scheme == "https" else self.http
        return parse_proxy(written) if written and not self._direct(url) else None

    def _direct(self, url: Url) -> bool:
        host = url.host.lower().rstrip(".")
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        return any(_matches(entry.strip().lower(), host, url.port, address) for entry in self.none.split(","))


def parse_proxy(written: str) -> Proxy:
    """A proxy's URL; without a scheme it is http. Raises InvalidArgument."""
    text = written if "://" in written else f"http://{written}"
    try:
        parts = urlsplit(text)
        url = parse_url(text)
    except (ValueError, InvalidArgument):
        raise InvalidArgument(f'invalid proxy address "{_hidden(written)}"') from None
    user, at, _ = parts.netloc.rpartition("@")
    if not at:
        return Proxy(url)
    return Proxy(url, f"Basic {base64.b64encode(unquote(user).encode()).decode()}")


def proxies_of(environment: Mapping[str, str], http: str = "", https: str = "", none: str = "") -> Proxies:
    """What the daemon was told, else what its environment says."""

    def first(name: str) -> str:
        return environment.get(name, "") or environment.get(name.lower(), "")

    return Proxies(http or first("HTTP_PROXY"), https or first("HTTPS_PROXY"), none or first("NO_PROXY"))


def _hidden(written: str) -> str:
    before, at, host = written.rpartition("@")
    return f"{before.partition('://')[0]}://xxxxx:xxxxx@{host}" if at else written


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _matches(entry: str, host: str, port: int, address: IPv4Address | IPv6Address | None) -> bool:
    if entry in {"", "*"}:
        return entry == "*"
    if "/" in entry:
        try:
            return address is not None and address in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted = _split_port(entry)
    if wanted and wanted != str(port):
        return False
    own = _address(name)
    if own is not None:
        return own == address
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    name, colon, port = entry.rpartition(":")
    return (name, port) if colon and ":" not in name and port.isdigit() else (entry, "")
