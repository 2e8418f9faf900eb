"""A seccomp agent: takes what the runtime sends over ``listenerPath`` and answers the kernel's notifications.

The numbers are those of linux/seccomp.h; struct seccomp_notif is 80 bytes, struct seccomp_notif_resp 24.
"""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading
from pathlib import Path
from typing import Any, Self

NOTIF_RECV = 0xC0502100
NOTIF_SEND = 0xC0182101


class Agent:
    """Listens at ``path``; each system call that is asked about fails with ``code``, after it was counted."""

    def __init__(self, path: Path, *, code: int = errno.ENOMEDIUM) -> None:
        self.path = path
        self.code = code
        self.messages: list[dict[str, Any]] = []
        self.descriptors: list[int] = []
        self.closed = 0
        """How many connections the runtime has closed."""
        self.asked: list[int] = []
        """The numbers of the calls that were asked about."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(2)
        self._over = set[int]()
        self._open: dict[socket.socket, bytes] = {}
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake, b"x")
        self._thread.join(timeout=10)
        for connection in [self._listener, *self._open]:
            connection.close()
        for number in [*self.descriptors, self._stop, self._wake]:
            os.close(number)

    def _serve(self) -> None:
        while True:
            filters = [number for number in self.descriptors if number not in self._over]
            ready, _, _ = select.select([self._stop, self._listener, *self._open, *filters], [], [])
            if self._stop in ready:
                return
            if self._listener in ready:
                self._open[self._listener.accept()[0]] = b""
            for connection in [one for one in self._open if one in ready]:
                self._take(connection)
            for number in [one for one in filters if one in ready]:
                self._answer(number)

    def _take(self, connection: socket.socket) -> None:
        """A part of a message: JSON, with descriptors in its first part; or the connection's end."""
        part, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4 * 8))
        for _, _, data in ancillary:
            numbers = array.array("i", data[: len(data) - len(data) % 4])
            self.descriptors += numbers
        if not part:
            self.closed += 1
            del self._open[connection]
            connection.close()
            return
        self._open[connection] += part
        try:
            self.messages.append(json.loads(self._open[connection]))
        except ValueError:
            return  # there is more to come
        self._open[connection] = b""

    def _answer(self, number: int) -> None:
        """Let one call fail; a descriptor whose filter has no process any more is left alone from then on."""
        request = bytearray(80)
        try:
            fcntl.ioctl(number, NOTIF_RECV, request)
        except OSError:
            self._over.add(number)
            return
        ident, _pid, _flags, call = struct.unpack_from("=QIIi", request)
        self.asked.append(call)
        try:
            fcntl.ioctl(number, NOTIF_SEND, struct.pack("=QqiI", ident, 0, -self.code, 0))
        except OSError as error:
            if error.errno != errno.ENOENT:  # the asking process was killed meanwhile
                raise
