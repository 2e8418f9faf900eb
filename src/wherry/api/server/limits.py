"""What one client may cost the daemon."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the HTTP server; sizes in bytes, times in seconds."""

    header: int = MIB
    """Request line and headers together: what Go's net/http allows."""
    header_time: float = 30.0
    """From a request's first byte to the end of its headers."""
    body: int = 4 * MIB
    """A body that a handler reads whole."""
    body_time: float = 60.0
    """For such a body to arrive."""
    buffered: int = 256 * KIB
    """Bytes of a body or raw stream that wait for the handler before the client is held back."""
    pipelined: int = 64 * KIB
    """Bytes that a client may send ahead of its answer."""
    discarded: int = 256 * KIB
    """The rest of an unread body that is thrown away to keep the connection; with more to come it is closed."""
    connections: int = 4096
    """At the limit the longest idle connection makes room; if none is idle the newcomer is told 503."""
    linger_time: float = 2.0
    """How long a connection that we end may go on sending before it is cut."""
    hangup_poll: float = 1.0
    """How often a half-closed client is looked at, whether it has gone altogether."""
