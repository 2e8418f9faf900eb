"""The listening side: accepts, gives each client a thread, and ends them in order."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable

from wherry.registry.http.connection import Connection, Service
from wherry.registry.http.wire import Wire

_log = logging.getLogger(__name__)
BACKLOG = 512
HANDSHAKE_SECONDS = 30.0
_PAUSE = 0.05
"""Seconds after an accept that failed."""
_NO_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
"""Go's words to who speaks HTTP to a TLS port."""


class Server:
    """Serves ``service`` on any number of listening sockets."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turn = threading.Condition()
        """Guards what follows; told of every connection that ends."""
        self._listeners: list[socket.socket] = []
        self._members: dict[Connection, None] = {}
        self._closing = False

    def serve(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        """Begin to accept on a bound socket, which is ours from here on; ``tls`` is asked for each connection."""
        listener.listen(BACKLOG)
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, tls), name="accept", daemon=True).start()

    def close(self, drain: float) -> None:
        """Accept no more, let the requests under way end for ``drain`` seconds, cut what is left."""
        with self._turn:
            self._closing = True
            members = list(self._members)
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept, which close alone does not
            listener.close()
        for member in members:
            member.leave()
        for member in self._left(drain):
            member.cut()
        self._left(1.0)

    def _left(self, seconds: float) -> list[Connection]:
        """The connections that have not ended within ``seconds``."""
        with self._turn:
            self._turn.wait_for(lambda: not self._members, min(seconds, threading.TIMEOUT_MAX))
            return list(self._members)

    def _accept(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        while not self._closing:
            try:
                sock, address = listener.accept()
            except OSError as error:
                if self._closing:
                    return
                # Out of descriptors, or the client has gone already: what is open must be able to go on.
                _log.warning("accept: %s", error)
                time.sleep(_PAUSE)
                continue
            try:
                threading.Thread(target=self._run, args=(sock, address, tls), daemon=True).start()
            except RuntimeError as error:
                _log.warning("no thread for %s: %s", address, error)
                sock.close()

    def _run(self, sock: socket.socket, address: object, tls: Callable[[], ssl.SSLContext] | None) -> None:
        client = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "@"
        try:
            if tls is not None:
                sock = _handshake(sock, tls())
            wire = Wire(sock, self._service.bounds.stall)
        except OSError as error:
            _log.debug("%s: %s", client, error)
            sock.close()
            return
        connection = Connection(self._service, wire, client, secure=tls is not None)
        if not self._admit(connection):
            connection.refuse(503, "too many connections")
            connection.run()
            return
        try:
            connection.run()
        finally:
            with self._turn:
                self._members.pop(connection, None)
                self._turn.notify_all()

    def _admit(self, newcomer: Connection) -> bool:
        with self._turn:
            if self._closing:
                return False
            oldest = None
            if len(self._members) >= self._service.bounds.connections:
                idle = [(member.idle_since, member) for member in self._members if member.idle_since is not None]
                if not idle:
                    return False
                oldest = min(idle, key=lambda pair: pair[0])[1]
                del self._members[oldest]
            self._members[newcomer] = None
        if oldest is not None:
            oldest.leave()
        return True


def _handshake(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    sock.settimeout(HANDSHAKE_SECONDS)
    wrapped = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    try:
        wrapped.do_handshake()
    except ssl.SSLError as error:
        with socket.socket(fileno=wrapped.detach()) as plain, contextlib.suppress(OSError):
            if error.reason == "HTTP_REQUEST":
                plain.sendall(_NO_TLS)
        raise
    except BaseException:
        wrapped.close()
        raise
    return wrapped
