"""``wherry-registry`` as a process, with what a test of the whole server looks at."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from distribution.client import Client, Repository
from support.registries import Registry


class Ours(Registry):
    """Ours, whatever else is installed."""

    def __init__(self, *, settings: dict[str, Any] | None = None, before: list[str] | None = None) -> None:
        super().__init__(settings=settings)
        self._program = [*(before or []), sys.executable, "-m", "wherry.registry.main", "serve"]

    @property
    def client(self) -> Client:
        return Client(self.url)

    def repository(self, name: str) -> Repository:
        return self.client.repository(name)

    def terminate(self, within: float = 15) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(within)
        self._process = None
        return code

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        """A bare connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as sock:
            yield sock

    def ask(self, raw: bytes) -> bytes:
        """All that is answered to these bytes until the registry ends the connection."""
        with self.connection() as sock:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)

    def files(self) -> list[str]:
        """Every file in the storage."""
        return sorted(str(path.relative_to(self.storage)) for path in self.storage.rglob("*") if not path.is_dir())


def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end."""
    pieces = []
    while data := sock.recv(1 << 20):
        pieces.append(data)
    return b"".join(pieces)
