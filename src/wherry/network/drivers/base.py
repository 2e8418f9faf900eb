"""What a network driver is: the one that knows how a kind of network is made in the kernel.

A driver works on the host's thread and may block. ``up`` and ``down`` make and remove what all endpoints share;
``attach`` makes an endpoint's link and leaves its inner end in the sandbox's namespace, not yet configured. Each
may be repeated: after a crash the daemon does so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from wherry.network.firewall import BridgeRules
from wherry.network.host import Host
from wherry.network.ledger import Network
from wherry.network.model import NetnsHandle
from wherry.state.network import EndpointRecord


class Driver(Protocol):
    """One kind of network."""

    kind: str
    """Its name in the API."""
    single: bool
    """Whether only the predefined network of this kind may exist."""
    addressed: bool
    """Whether its networks have address pools and its endpoints interfaces."""

    def check(self, network: Network, others: Collection[Network]) -> None:
        """Refuse options or a clash with another network of this driver. Raises WherryError."""

    def rules(self, network: Network) -> BridgeRules | None:
        """What the firewall must do for it."""

    def up(self, host: Host, network: Network) -> None:
        """Make what the network's endpoints share. Raises OSError."""

    def down(self, host: Host, network: Network) -> None:
        """Remove it; quiet when it is gone. Raises OSError."""

    def attach(self, host: Host, network: Network, endpoint: EndpointRecord, netns: NetnsHandle) -> None:
        """Make an endpoint's link. Raises OSError."""

    def detach(self, host: Host, network: Network, endpoint: EndpointRecord) -> None:
        """Remove it; quiet when it is gone. Raises OSError."""

    def strays(self, host: Host, network: Network, endpoints: Collection[EndpointRecord]) -> list[str]:
        """Links of the network that belong to none of its ``endpoints``."""
