"""The sockets on which the Engine API is served: ``unix://PATH`` and ``tcp://HOST:PORT``."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
from urllib.parse import urlsplit

from wherry.lib.errors import InvalidArgument

BACKLOG = 512
DEFAULT_SOCKET = "/run/wherry/docker.sock"
SOCKET_MODE = 0o660
GROUPS = ("wherry", "docker")
"""The groups that may speak to the socket when ``--group`` does not say; the first that exists."""


def listen(host: str, *, group: str) -> socket.socket:
    """A listening socket for one ``--host``. Raises InvalidArgument, OSError."""
    scheme, _, rest = host.partition("://")
    if scheme == "unix":
        return _listen_unix(rest or DEFAULT_SOCKET, group)
    if scheme == "tcp":
        return _listen_tcp(host)
    raise InvalidArgument(f"invalid bind address ({host}): expected unix://PATH or tcp://HOST:PORT")


def forget(host: str) -> None:
    """Remove the name of a unix socket that is no longer listened on, so that clients are refused at once."""
    scheme, _, path = host.partition("://")
    if scheme == "unix":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path or DEFAULT_SOCKET)


def _listen_unix(path: str, group: str) -> socket.socket:
    """The socket is bound under a private name and renamed, so that it is never reachable with loose permissions."""
    os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
    staged = f"{path}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    mask = os.umask(0o177)
    try:
        listener.bind(staged)
    finally:
        os.umask(mask)
    os.chown(staged, 0, _group_id(group))
    os.chmod(staged, SOCKET_MODE)
    listener.listen(BACKLOG)
    os.rename(staged, path)
    return listener


def _listen_tcp(host: str) -> socket.socket:
    """Without TLS the API is root for whoever reaches it, so it opens on loopback addresses alone."""
    try:
        parts = urlsplit(host)
        address, port = parts.hostname or "127.0.0.1", parts.port or 2375
    except ValueError:
        raise InvalidArgument(f"invalid bind address ({host}): expected tcp://HOST:PORT") from None
    if address not in ("127.0.0.1", "localhost", "::1"):
        raise InvalidArgument(f"{host}: TLS is not built yet, and without it the API is served on loopback only")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(BACKLOG)
    return listener


def _group_id(name: str) -> int:
    if name:
        try:
            return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
        except KeyError:
            raise InvalidArgument(f"group {name} not found") from None
    for candidate in GROUPS:
        with contextlib.suppress(KeyError):
            return grp.getgrnam(candidate).gr_gid
    return 0
