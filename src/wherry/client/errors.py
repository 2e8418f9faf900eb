"""What can go wrong between a client and a daemon.

ClientError                 root of the family
├── InvalidHost             the daemon's address makes no sense
├── ConnectionFailed        nobody answers at the daemon's address
├── ProtocolError           the peer does not speak HTTP as we know it
└── ApiError                the daemon answered with a status of 400 or more
"""

from __future__ import annotations


class ClientError(Exception):
    """Root of every error that the client raises by itself; its text is meant for the user."""


class InvalidHost(ClientError):
    """The daemon's address makes no sense."""


class ConnectionFailed(ClientError):
    """Nobody answers at the daemon's address."""


class ProtocolError(ClientError):
    """The peer does not speak HTTP as we know it, or hung up in the middle of an answer."""


class ApiError(ClientError):
    """The daemon refused. ``message`` is its own text, the exception's text is Docker's rendering of it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Error response from daemon: {message}")
        self.status = status
        self.message = message
