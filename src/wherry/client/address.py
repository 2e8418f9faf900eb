"""Where the daemon listens: Docker's host strings, parsed by Docker's rules.

unix:///run/wherry/docker.sock      a path
tcp://10.0.0.1:2375, 10.0.0.1, :80  host and port, 2375 unless said
ssh://, npipe://, fd://             known to Docker, refused here with their name
"""

from __future__ import annotations

import os

from wherry.client.errors import InvalidHost

OWN_SOCKET = "/run/wherry/docker.sock"
DOCKER_SOCKET = "/var/run/docker.sock"
DEFAULT_PORT = "2375"


class Address:
    """One daemon's address. ``text`` is what error messages show."""

    __slots__ = ("host", "path", "port", "text")

    def __init__(self, text: str, *, path: str = "", host: str = "", port: int = 0) -> None:
        self.text = text
        self.path = path
        self.host = host
        self.port = port


def default_host() -> str:
    """$DOCKER_HOST, else our daemon's socket if it exists, else Docker's."""
    given = os.environ.get("DOCKER_HOST", "").strip()
    if given:
        return given
    if os.path.exists(OWN_SOCKET):
        return f"unix://{OWN_SOCKET}"
    return f"unix://{DOCKER_SOCKET}"


def parse_host(text: str) -> Address:
    """Raise ``InvalidHost`` with Docker's words if the text is no address."""
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme == "unix":
        if "://" in rest:
            raise InvalidHost(f"invalid proto, expected unix: {rest}")
        path = rest or DOCKER_SOCKET
        return Address(f"unix://{path}", path=path)
    if scheme == "tcp":
        return _tcp(text, rest)
    if scheme in {"ssh", "npipe", "fd"}:
        raise InvalidHost(f"{scheme}:// hosts are not built yet: {text}")
    raise InvalidHost(f"invalid bind address format: {text}")


def _tcp(text: str, rest: str) -> Address:
    if "://" in rest:
        raise InvalidHost(f"invalid proto, expected tcp: {rest}")
    rest = rest.split("/", 1)[0]
    if rest.startswith("["):
        host, _, tail = rest[1:].partition("]")
        port = tail.removeprefix(":")
    else:
        host, _, port = rest.partition(":")
    host, port = host or "localhost", port or DEFAULT_PORT
    if not port.isdecimal() or ":" in port or int(port) > 65535:
        raise InvalidHost(f"invalid bind address format: {text}")
    shown = f"[{host}]" if ":" in host else host
    return Address(f"tcp://{shown}:{port}", host=host, port=int(port))
