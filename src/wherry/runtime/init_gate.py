"""Where a created container waits for ``start``: the last stop before its program.

A listening socket that the command which created it has bound. ``start`` connects and says so; an error goes back to
it as a packet, success is the end of file that execve(2) makes of a close-on-exec socket.
"""

from __future__ import annotations

import os

from wherry.linux import sockets
from wherry.runtime import hooks
from wherry.runtime.init_errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

START = b"start"


class Gate:
    """Made before the root changes; waited at after."""

    def __init__(self, fd: int, channel: sockets.Socket, spec: dict[str, Any], state: dict[str, Any]) -> None:
        self._listener = sockets.of(fd)
        self._channel = channel
        self._hooks: list[dict[str, Any]] = (spec.get("hooks") or {}).get("startContainer") or []
        self._state = state
        self._visitor: sockets.Socket | None = None

    @property
    def passed(self) -> bool:
        """Whether ``start`` has been here: it hears of what fails now, whoever created the container no longer does."""
        return self._visitor is not None

    def wait(self) -> None:
        """Return when the program is to run. Raises StartError when a hook fails."""
        # What our creator has been waiting for: it hears the end of file, and that the container is created.
        self._channel.close()
        while True:
            visitor = sockets.accept(self._listener)
            if visitor.recv(16) == START:
                break
            visitor.close()
        self._listener.close()
        self._visitor = visitor
        if self._hooks:
            hooks.run(self._hooks, {**self._state, "status": "created", "pid": os.getpid()}, where="startContainer")

    def fail(self, error: StartError) -> None:
        """Tell whoever wanted the start."""
        if self._visitor is not None:
            self._visitor.send(error.encode())
