"""Image names, by the grammar of ``distribution/reference`` as the Docker client uses it.

    reference  := [domain "/"] path [":" tag] ["@" digest]
    busybox            familiar
    docker.io/library/busybox:latest    canonical, what is stored

A first component is a domain when it has a dot or a colon or is ``localhost``; otherwise the domain is docker.io, and
a single component there gets ``library/``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from wherry.lib.errors import InvalidArgument
from wherry.oci.digest import Digest, is_digest, parse_digest

DEFAULT_DOMAIN = "docker.io"
LEGACY_DOMAIN = "index.docker.io"
OFFICIAL = "library/"
DEFAULT_TAG = "latest"
NAME_MAX = 255

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?:({_DOMAIN})/)?({_COMPONENT}(?:/{_COMPONENT})*)(?::({_TAG.pattern}))?(?:@({_DIGEST}))?", re.ASCII
)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")

INVALID = "invalid reference format"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A normalized name; ``tag`` and ``digest`` are empty where none was given."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Domain and path: ``docker.io/library/busybox``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it: ``busybox``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        if self.path.startswith(OFFICIAL) and "/" not in self.path[len(OFFICIAL) :]:
            return self.path[len(OFFICIAL) :]
        return self.path

    def __str__(self) -> str:
        return self.name + self._suffix

    @property
    def familiar(self) -> str:
        """The whole reference as people write it: ``busybox:latest``."""
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def tagged(self) -> Reference:
        """The same with ``latest`` where neither tag nor digest was given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> Reference:
        """The same name with another tag and no digest. Raises InvalidArgument."""
        if not _TAG.fullmatch(tag):
            raise InvalidArgument("invalid tag format")
        return replace(self, tag=tag, digest="")

    @property
    def stored(self) -> str:
        """The key under which the reference store keeps it: name@digest, or name:tag with the default tag."""
        if self.digest:
            return f"{self.name}@{self.digest}"
        return str(self.tagged())


def parse_reference(text: str) -> Reference:
    """The normalized reference that ``text`` names. Raises InvalidArgument in Docker's words."""
    if _IDENTIFIER.fullmatch(text):
        raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(text)
    remote = remainder.partition(":")[0]
    if remote.lower() != remote:
        raise InvalidArgument(f"{INVALID}: repository name must be lowercase")
    match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if match is None or match[1] is None:
        raise InvalidArgument(INVALID)
    found_domain, path, tag, digest = match.groups()
    if len(found_domain) + 1 + len(path) > NAME_MAX:
        raise InvalidArgument(f"repository name must not be more than {NAME_MAX} characters")
    return Reference(found_domain, path, tag or "", parse_digest(digest) if digest else "")


def parse_any(text: str) -> Reference | Digest:
    """A reference, or the digest that a full image id (with or without its algorithm) is. Raises InvalidArgument."""
    if _IDENTIFIER.fullmatch(text):
        return Digest(f"sha256:{text}")
    if is_digest(text):
        return Digest(text)
    return parse_reference(text)


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        domain, remainder = first, rest
    else:
        domain, remainder = DEFAULT_DOMAIN, text
    if domain == LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = OFFICIAL + remainder
    return domain, remainder
