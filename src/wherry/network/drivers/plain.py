"""The drivers ``host`` and ``null``: nothing to make, nothing to remove."""

from __future__ import annotations

from collections.abc import Collection

from wherry.network.firewall import BridgeRules
from wherry.network.host import Host
from wherry.network.ledger import Network
from wherry.network.model import NetnsHandle
from wherry.state.network import EndpointRecord


class PlainDriver:
    """A network without links."""

    single = True
    addressed = False

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def check(self, network: Network, others: Collection[Network]) -> None:
        """Every option is fine: none has a meaning."""

    def rules(self, network: Network) -> BridgeRules | None:  # noqa: ARG002
        """No rules."""
        return None

    def up(self, host: Host, network: Network) -> None:
        """Nothing is shared."""

    def down(self, host: Host, network: Network) -> None:
        """Nothing is shared."""

    def attach(self, host: Host, network: Network, endpoint: EndpointRecord, netns: NetnsHandle) -> None:
        """There is no link."""

    def detach(self, host: Host, network: Network, endpoint: EndpointRecord) -> None:
        """There is no link."""

    def strays(self, host: Host, network: Network, endpoints: Collection[EndpointRecord]) -> list[str]:  # noqa: ARG002
        """No link, no stray."""
        return []
