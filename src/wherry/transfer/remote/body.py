"""What a request carries: bytes at hand, a file of known size, or chunks that are still being made."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

SLICE = 1024 * 1024
"""Bytes between two reports of progress."""

Progress = Callable[[int], None]
"""Told the bytes that were sent so far."""


class Body(Protocol):
    """The body of a request."""

    @property
    def headers(self) -> dict[str, str]:
        """How its length is told (RFC 9112, 6)."""

    @property
    def again(self) -> bool:
        """Whether it can be sent a second time."""

    def send(self, to: socket.socket) -> None:
        """Write all of it. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Bytes at hand."""

    data: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        """Its length."""
        return {"Content-Length": str(len(self.data))}

    @property
    def again(self) -> bool:
        """It stays at hand."""
        return True

    def send(self, to: socket.socket) -> None:
        """Write all of it."""
        if self.data:
            to.sendall(self.data)


@dataclass(frozen=True, slots=True)
class File:
    """``size`` bytes of a file from its beginning; the kernel copies them where there is no TLS."""

    file: BinaryIO
    size: int
    progress: Progress

    @property
    def headers(self) -> dict[str, str]:
        """Its length."""
        return {"Content-Length": str(self.size)}

    @property
    def again(self) -> bool:
        """It is read from its beginning each time."""
        return True

    def send(self, to: socket.socket) -> None:
        """Write all of it. A file that has shrunk raises OSError, since the promised length cannot be kept."""
        self.file.seek(0)
        sent = 0
        buffer = memoryview(bytearray(min(SLICE, max(self.size, 1)))) if isinstance(to, ssl.SSLSocket) else None
        while sent < self.size:
            wanted = min(SLICE, self.size - sent)
            if buffer is None:
                count = to.sendfile(self.file, sent, wanted)
            else:
                count = self.file.readinto(buffer[:wanted])  # type: ignore[attr-defined]
                to.sendall(buffer[:count])
            if not count:
                raise OSError(f"file ended after {sent} of {self.size} bytes")
            sent += count
            self.progress(sent)


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks that are still being made, in the chunked coding (RFC 9112, 7.1); each is handed to ``seen`` once sent."""

    chunks: Iterable[bytes]
    seen: Callable[[bytes], None]

    @property
    def headers(self) -> dict[str, str]:
        """Its length is not known."""
        return {"Transfer-Encoding": "chunked"}

    @property
    def again(self) -> bool:
        """Chunks are gone once sent."""
        return False

    def send(self, to: socket.socket) -> None:
        """Write all of it and the end."""
        for chunk in self.chunks:
            if chunk:
                self.seen(chunk)
                to.sendall(b"%x\r\n" % len(chunk))
                to.sendall(chunk)
                to.sendall(b"\r\n")
        to.sendall(b"0\r\n\r\n")


NOTHING = Plain()
