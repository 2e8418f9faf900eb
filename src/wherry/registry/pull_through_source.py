"""The registry of which ours is a cache: ``proxy`` of the configuration, and what we ask of it.

remoteurl   https://registry-1.docker.io
username, password
ttl         168h      after so long what was fetched is forgotten, and fetched anew when it is asked for; 0: never
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from wherry.lib.errors import InvalidArgument
from wherry.oci.reference import DEFAULT_DOMAIN
from wherry.registry.options import Options, needed, seconds, text
from wherry.registry.pull_through_flight import Incoming
from wherry.transfer.remote.credentials import Credentials

WHERE = "proxy"
TTL = 168 * 3600.0
HUB = frozenset({"registry-1.docker.io", "index.docker.io", "docker.io"})


class Source(Protocol):
    """Upstream. Everything blocks and raises the family of ``lib/errors``."""

    def resolve(self, repository: str, tag: str) -> str:
        """The digest that a tag names."""

    def manifest(self, repository: str, digest: str) -> bytes:
        """A manifest's bytes."""

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has a blob."""

    def blob(self, repository: str, digest: str, size: int) -> Incoming:
        """A blob of so many bytes."""

    def tags(self, repository: str) -> list[str]:
        """The repository's tags."""


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """What ``proxy`` says; ``ttl`` in seconds, 0 for ever."""

    url: str
    domain: str
    """Of the names by which upstream's client knows what is there."""
    insecure: bool
    credentials: Credentials | None = field(default=None, repr=False)
    ttl: float = TTL


def parse_proxy(options: Options) -> ProxySettings | None:
    """The settings; None where there is no upstream. Raises InvalidArgument."""
    if not options.get("remoteurl"):
        return None
    url = needed(WHERE, options, "remoteurl")
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or "@" in parts.netloc:
        raise InvalidArgument(f"{WHERE}: remoteurl: {url!r} is no address of a registry")
    if options.get("exec"):
        raise InvalidArgument(f"{WHERE}: exec is not supported; give username and password")
    username, password = text(options, "username"), text(options, "password")
    ttl = seconds(WHERE, options, "ttl", TTL)
    if ttl < 0:
        raise InvalidArgument(f"{WHERE}: ttl must not be negative")
    return ProxySettings(
        url=f"{parts.scheme}://{parts.netloc}",
        domain=DEFAULT_DOMAIN if parts.netloc in HUB else parts.netloc,
        insecure=parts.scheme == "http",
        credentials=Credentials(username, password, server_address=parts.netloc) if username else None,
        ttl=ttl,
    )
