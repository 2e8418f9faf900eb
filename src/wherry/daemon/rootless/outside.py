"""The host as a rootless daemon publishes ports on it: by forwardings of slirp4netns."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass
from pathlib import Path

from wherry.daemon.rootless.uplink import Uplink


@dataclass(frozen=True, slots=True)
class Forwarding:
    """One port of the host that is sent here."""

    uplink: Uplink
    number: int

    def close(self) -> None:
        """End it; quiet when slirp4netns is gone."""
        with contextlib.suppress(OSError):
            self.uplink.stop(self.number)


class RootlessHost:
    """See the module; what ``network.host.Host`` wants as its ``outside``."""

    def __init__(self, runtime: Path) -> None:
        """``runtime`` is the rootless daemon's runtime directory."""
        self._uplink = Uplink(runtime / "slirp4netns.sock")

    def forget(self) -> None:
        """End the forwardings that an earlier daemon has left. Raises OSError."""
        for number in self._uplink.forwardings():
            self._uplink.stop(number)

    def bind(self, protocol: str, host_ip: str, port: int) -> Forwarding:
        """Have the host's port sent here. Raises OSError."""
        if ":" in host_ip:
            raise OSError(errno.EAFNOSUPPORT, "slirp4netns publishes IPv4 ports only")
        if protocol == "sctp":
            raise OSError(errno.EPROTONOSUPPORT, "slirp4netns publishes tcp and udp ports only")
        try:
            return Forwarding(self._uplink, self._uplink.forward(protocol, host_ip, port))
        except OSError as error:
            if 0 < port < unprivileged_start():
                raise OSError(errno.EACCES, f"ports below {unprivileged_start()} need root; {error}") from error
            raise OSError(errno.EADDRINUSE, f"address already in use ({error})") from error


def unprivileged_start() -> int:
    """The lowest port that an ordinary user may listen on (ip_unprivileged_port_start)."""
    return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii"))
