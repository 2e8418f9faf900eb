"""The caller's side of a terminal: a socket that takes the console, and what is read from it."""

from __future__ import annotations

import array
import os
import select
import socket
import time
from pathlib import Path
from typing import Self


class ConsoleSocket:
    """A Unix socket for ``--console-socket``; the terminal's descriptor comes in a message."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._listener.settimeout(10)
        self._terminal = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        if self._terminal >= 0:
            os.close(self._terminal)

    def terminal(self) -> int:
        """The descriptor that the runtime has sent; ours until the end."""
        if self._terminal < 0:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(10)
                _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(4))
            numbers = array.array("i", ancillary[0][2])
            self._terminal = numbers[0]
        return self._terminal

    def read_until(self, text: str, *, within: float = 10) -> str:
        """What the program writes, until ``text`` is in it."""
        deadline = time.monotonic() + within
        found = b""
        while text.encode() not in found.replace(b"\r\n", b"\n"):
            ready, _, _ = select.select([self.terminal()], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"never came: {text!r}, only {found!r}"
            try:
                found += os.read(self.terminal(), 65536)
            except OSError as error:  # the other side has ended
                raise AssertionError(f"never came: {text!r}, only {found!r}") from error
        return found.decode().replace("\r\n", "\n")
