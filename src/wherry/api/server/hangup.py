"""Whether a client that sends no more has gone, or only half-closed."""

from __future__ import annotations

import select
import socket

_GONE = select.POLLHUP | select.POLLERR


def has_hung_up(sock: socket.socket | None) -> bool | None:
    """Whether the peer of a connection that read end of file is gone; None where the kernel cannot tell.

    A Unix socket polls POLLHUP once its peer has closed; after the peer's shutdown(SHUT_WR) alone it does not. On TCP
    both are one FIN, and only a write would show the difference.
    """
    if sock is None or sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    if any(events & _GONE for _, events in poll.poll(0)):
        return True
    return False if sock.family == socket.AF_UNIX else None
