"""Mirrors: other places to pull from, tried before the registry itself.

    https://mirror.example            of Docker Hub, as dockerd's registry-mirrors
    quay.io=https://mirror.example    of a registry: quay.io/a/b is looked for as a/b
    quay.io/team=https://m.example/t  of a part of one: quay.io/team/b is looked for as t/b

Of several prefixes the longest counts. A mirror never gets the credentials that are meant for the registry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from wherry.lib.errors import InvalidArgument
from wherry.oci.reference import DEFAULT_DOMAIN, LEGACY_DOMAIN, Reference
from wherry.transfer.remote.url import Url, parse_url

_PREFIX = re.compile(r"[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._/-]+)?")


@dataclass(frozen=True, slots=True)
class Mirror:
    """``prefix`` is a domain, or a domain and the beginning of a path."""

    prefix: str
    url: Url

    def path_of(self, name: Reference) -> str | None:
        """The repository's path at the mirror; None when the mirror is not for this name."""
        full = name.name
        if full != self.prefix and not full.startswith(self.prefix + "/"):
            return None
        rest = full[len(self.prefix) :].strip("/")
        return "/".join(part for part in (self.url.target.strip("/"), rest) if part)


def parse_mirrors(given: Iterable[str]) -> tuple[Mirror, ...]:
    """The mirrors that ``registry-mirrors`` names, without repetitions. Raises InvalidArgument in dockerd's words."""
    return tuple(dict.fromkeys(_parse(text) for text in given))


def mirrors_of(mirrors: Iterable[Mirror], name: Reference) -> list[tuple[Url, str]]:
    """Place and path of every mirror that ``name`` is looked for at, in order."""
    fitting = [(mirror, path) for mirror in mirrors if (path := mirror.path_of(name)) is not None]
    longest = max((len(mirror.prefix) for mirror, _ in fitting), default=0)
    return [(mirror.url.at("/"), path) for mirror, path in fitting if len(mirror.prefix) == longest]


def hub_mirrors(mirrors: Iterable[Mirror]) -> list[str]:
    """Those of Docker Hub, as ``docker info`` shows them."""
    return [f"{str(mirror.url).rstrip('/')}/" for mirror in mirrors if mirror.prefix == DEFAULT_DOMAIN]


def _parse(text: str) -> Mirror:
    prefix, equals, url = text.partition("=")
    if not equals or "://" in prefix:
        return Mirror(DEFAULT_DOMAIN, _location(text))
    prefix = prefix.rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise InvalidArgument(f'invalid mirror: "{prefix}" is not a registry or the beginning of a name')
    domain, slash, path = prefix.partition("/")
    return Mirror((DEFAULT_DOMAIN if domain == LEGACY_DOMAIN else domain) + slash + path, _location(url))


def _location(text: str) -> Url:
    scheme, separator, _ = text.partition("://")
    if not separator or not scheme:
        raise InvalidArgument(
            f"invalid mirror: no scheme specified for \"{text}\": must use either 'https://' or 'http://'"
        )
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise InvalidArgument(f'invalid mirror: "{text}" is not a valid URI: {error}') from None
    if parts.scheme not in {"http", "https"}:
        raise InvalidArgument(
            f"invalid mirror: unsupported scheme \"{parts.scheme}\" in \"{text}\": must use either 'https://' or 'http://'"
        )
    if parts.query or parts.fragment:
        raise InvalidArgument(f'invalid mirror: query or fragment at end of the URI "{text}"')
    if "@" in parts.netloc:
        user = parts.netloc.rpartition("@")[0].partition(":")[0]
        hidden = text.replace(parts.netloc, f"{user}:xxxxx@{parts.netloc.rpartition('@')[2]}")
        raise InvalidArgument(f'invalid mirror: username/password not allowed in URI "{hidden}"')
    try:
        return parse_url(text)
    except InvalidArgument as error:
        raise InvalidArgument(f'invalid mirror: "{text}" is not a valid URI: {error.message}') from None
