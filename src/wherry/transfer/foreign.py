"""Where layers may be pushed that registries need not have (``allow-nondistributable-artifacts``)."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.transfer.remote.insecure import LOOPBACK, Insecure, parse_insecure


def parse_nondistributable(registries: Sequence[str]) -> Insecure:
    """The rule: hosts and networks as for insecure registries, but no network is among them unasked.

    Raises InvalidArgument.
    """
    rule = parse_insecure(registries)
    asked = tuple(network for network in rule.networks if network not in LOOPBACK or str(network) in registries)
    return Insecure(rule.hosts, asked)
