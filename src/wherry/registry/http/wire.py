"""One connected socket of a client, plain or TLS: blocking, with a limit on how long it may stand still."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct

from wherry.registry.http.message import Stretch

PIECE = 256 * 1024
"""Bytes copied at a time where the kernel cannot send a file by itself."""
LINGER_BYTES = 16 * 1024 * 1024
LINGER_SECONDS = 2.0
_AT_ONCE = 1 << 30


class Wire:
    """Bytes both ways; every failure, a stalled client included, is an OSError."""

    def __init__(self, sock: socket.socket, stall: float) -> None:
        """A call that makes no progress for ``stall`` seconds fails."""
        self._socket = sock
        self._plain = not isinstance(sock, ssl.SSLSocket)
        self.sent = 0
        """Bytes of everything, and of it the heads of answers."""
        self.heads = 0
        if self._plain:
            # The kernel's own timeouts leave the socket blocking, which sendfile needs.
            limit = struct.pack("ll", int(stall), 0)
            sock.settimeout(None)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        else:
            sock.settimeout(stall)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def receive(self, limit: int) -> bytes:
        """Some bytes; empty at the end."""
        return self._socket.recv(limit)

    def receive_into(self, buffer: memoryview) -> int:
        """Some bytes into ``buffer``; 0 at the end."""
        return self._socket.recv_into(buffer)

    def send(self, data: bytes | memoryview, *, more: bool = False) -> None:
        """All of ``data``; ``more`` follows at once and may share a packet with it."""
        if more and self._plain:
            view = memoryview(data)
            while view:
                view = view[self._socket.send(view, socket.MSG_MORE) :]
        else:
            self._socket.sendall(data)
        self.sent += len(data)

    def send_stretch(self, stretch: Stretch) -> None:
        """Bytes of a file. Raises EOFError when the file is shorter than was said."""
        descriptor = stretch.reader.descriptor
        if self._plain and descriptor is not None:
            self._send_file(descriptor, stretch.offset, stretch.length)
        else:
            self._copy(stretch)

    def _send_file(self, descriptor: int, offset: int, left: int) -> None:
        out = self._socket.fileno()
        while left:
            count = os.sendfile(out, descriptor, offset, min(left, _AT_ONCE))
            if not count:
                raise EOFError("the file ends early")
            offset += count
            left -= count
            self.sent += count

    def _copy(self, stretch: Stretch) -> None:
        buffer = memoryview(bytearray(min(PIECE, stretch.length)))
        left = stretch.length
        while left:
            count = stretch.reader.readinto(buffer[:left])
            if not count:
                raise EOFError("the file ends early")
            self.send(buffer[:count])
            left -= count

    def linger(self) -> None:
        """End after what was sent has arrived.

        Closing a socket with unread bytes in it resets it, which takes our last bytes from the client: so say that
        we are done, and read what it still sends for a moment.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            if self._plain:
                self._socket.settimeout(LINGER_SECONDS)
                left = LINGER_BYTES
                while left > 0 and (data := self._socket.recv(PIECE)):
                    left -= len(data)

    def cut(self) -> None:
        """End now, from any thread: what blocks on the socket fails."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
