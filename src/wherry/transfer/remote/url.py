"""The few URLs that a registry client meets: http or https, a host, a port, a target."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, urljoin, urlsplit

from wherry.lib.errors import InvalidArgument

PORTS = {"http": 80, "https": 443}
_NETLOC = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%25[\w.-]+)?)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?")
_SAFE = "%/:=&?~+!$,;'@()*[]#"


@dataclass(frozen=True, slots=True)
class Url:
    """Shown as it was written, since messages carry it."""

    scheme: str
    netloc: str
    target: str = "/"
    """Path and query, percent-encoded."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"

    @property
    def host(self) -> str:
        """The host's name or address, without brackets."""
        match = _NETLOC.fullmatch(self.netloc)
        assert match is not None
        return match[1] or match[2]

    @property
    def port(self) -> int:
        """The port, that of the scheme where none was written."""
        match = _NETLOC.fullmatch(self.netloc)
        assert match is not None
        return int(match[3]) if match[3] else PORTS[self.scheme]

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials are bound to (RFC 6454)."""
        return self.scheme, self.host.lower(), self.port

    def at(self, target: str) -> Url:
        """Another target at the same place."""
        return replace(self, target=target)

    def with_query(self, query: str) -> Url:
        """With ``query`` added to what the target has."""
        return self.at(f"{self.target}{'&' if '?' in self.target else '?'}{query}") if query else self

    def join(self, location: str) -> Url:
        """Where a ``Location`` or ``Link`` of this URL's answer leads; it may be relative. Raises InvalidArgument."""
        try:
            return parse_url(urljoin(str(self), location))
        except ValueError as error:
            raise InvalidArgument(f'failed to parse Location header "{location[:200]}": {error}') from None


def parse_url(text: str) -> Url:
    """An absolute http or https URL; user information is dropped. Raises InvalidArgument."""
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise InvalidArgument(f'parse "{text[:200]}": {error}') from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise InvalidArgument(f'unsupported protocol scheme "{parts.scheme[:40]}"')
    netloc = parts.netloc.rpartition("@")[2]
    match = _NETLOC.fullmatch(netloc)
    if match is None or (match[3] and not 0 < int(match[3]) < 65536):
        raise InvalidArgument(f'parse "{text[:200]}": invalid host')
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    return Url(scheme, netloc, target)
