"""The sockets that the registry listens on."""

from __future__ import annotations

import contextlib
import os
import socket

from wherry.lib.errors import InvalidArgument


def listen(network: str, address: str) -> socket.socket:
    """A bound socket: ``tcp`` and ``host:port`` (no host: every address), or ``unix`` and a path.

    Raises InvalidArgument, OSError.
    """
    if network == "unix":
        return _listen_unix(address)
    if network != "tcp":
        raise InvalidArgument(f"configuration: http.net: {network!r} is neither tcp nor unix")
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise InvalidArgument(f"configuration: http.addr: {address!r} is not host:port")
    return _listen_tcp(host.strip("[]"), int(port), address)


def name_of(listener: socket.socket) -> str:
    """The address as the log says it."""
    found = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return str(found)
    host = f"[{found[0]}]" if listener.family == socket.AF_INET6 else found[0]
    return f"{host}:{found[1]}"


def _listen_tcp(host: str, port: int, address: str) -> socket.socket:
    if not host:
        with contextlib.suppress(OSError):  # no IPv6 here
            return _bind(socket.AF_INET6, ("::", port))
        return _bind(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - what ":5000" asks for
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise InvalidArgument(f"configuration: http.addr: {address}: {error.strerror}") from None
    family, _, _, _, where = found[0]
    return _bind(family, where)


def _bind(family: int, where: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where[0] != "::"))
        listener.bind(where)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"listen tcp {where[0]}:{where[1]}: {error.strerror}") from None
    return listener


def _listen_unix(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
    except OSError:
        listener.close()
        raise
    return listener
