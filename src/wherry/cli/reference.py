"""Image names as docker reads and shows them: [domain/]path[:tag][@digest].

What the user leaves out is docker.io, library/ and :latest; what is shown leaves them out again.
"""

from __future__ import annotations

from wherry.cli.errors import CliError

_DEFAULT = "docker.io"
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_WORD = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_HEX = frozenset("0123456789abcdef")
_TOTAL = 255


class Reference:
    """A name, taken apart and completed. ``tag`` and ``digest`` are empty if not given."""

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str, digest: str) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def name(self) -> str:
        """domain/path, complete."""
        return f"{self.domain}/{self.path}"

    @property
    def full(self) -> str:
        """The name with what follows it."""
        return f"{self.name}{self.suffix()}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it."""
        if self.domain != _DEFAULT:
            return self.name
        short = self.path.removeprefix("library/")
        return self.path if "/" in short else short

    def with_default_tag(self) -> Reference:
        """:latest unless a tag or digest is given."""
        if self.tag or self.digest:
            return self
        return Reference(self.domain, self.path, "latest", "")

    def suffix(self) -> str:
        """:tag and @digest."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag


def is_identifier(text: str) -> bool:
    """Whether it is an image's id, whole."""
    return len(text) == 64 and set(text) <= _HEX


def parse(text: str) -> Reference:
    """Read a name. Raises ``ValueError`` with docker's words."""
    if is_identifier(text):
        raise ValueError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(text)
    bare = remainder.partition("@")[0].partition(":")[0]
    if bare != bare.lower():
        raise ValueError(f"invalid reference format: repository name ({bare}) must be lowercase")
    named, has_digest, digest = remainder.partition("@")
    path, has_tag, tag = named.partition(":")
    if (has_tag and not _is_tag(tag)) or (has_digest and not _is_digest(digest)):
        raise ValueError("invalid reference format")
    if not _is_domain(domain) or not path or not all(_is_component(part) for part in path.split("/")):
        raise ValueError("invalid reference format")
    if len(path) > _TOTAL:
        raise ValueError(f"repository name must not be more than {_TOTAL} characters")
    return Reference(domain, path, tag, digest)


def given(text: str, complaint: str = "") -> Reference:
    """Read a name of the command line. Raises ``CliError``, beginning with ``complaint``."""
    try:
        return parse(text)
    except ValueError as error:
        raise CliError(f"{complaint}{error}") from error


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash or (not any(mark in first for mark in ".:") and first != "localhost" and first.lower() == first):
        domain, rest = _DEFAULT, text
    else:
        domain = _DEFAULT if first == "index.docker.io" else first
    if domain == _DEFAULT and "/" not in rest:
        rest = f"library/{rest}"
    return domain, rest


def _is_component(part: str) -> bool:
    """Lower-case letters and digits, joined by single dots, one or two underscores, or any number of dashes."""
    if not part or part[0] not in _LOWER or part[-1] not in _LOWER:
        return False
    run = ""
    for character in part:
        if character not in _LOWER:
            run += character
        elif run:
            if run not in {".", "_", "__"} and run.strip("-"):
                return False
            run = ""
    return True


def _is_domain(domain: str) -> bool:
    host, colon, port = domain.rpartition(":") if not domain.endswith("]") else (domain, "", "")
    if colon and not (port.isascii() and port.isdigit()):
        return False
    host = host if colon else domain
    if host.startswith("[") and host.endswith("]"):
        return bool(set(host[1:-1]) <= _HEX | frozenset(":ABCDEF"))
    return bool(host) and all(
        part and part.isascii() and part.replace("-", "a").isalnum() and "-" not in {part[0], part[-1]}
        for part in host.split(".")
    )


def _is_tag(tag: str) -> bool:
    return bool(tag) and len(tag) <= 128 and tag[0] in _WORD and set(tag) <= _WORD | {".", "-"}


def _is_digest(digest: str) -> bool:
    algorithm, colon, digits = digest.partition(":")
    known = {"sha256": 64, "sha384": 96, "sha512": 128}
    return bool(colon) and len(digits) == known.get(algorithm, -1) and set(digits) <= _HEX
