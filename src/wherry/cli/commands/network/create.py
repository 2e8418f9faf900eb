"""``wherry network create``."""

from __future__ import annotations

from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.pairs import pairs
from wherry.client import network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

    Network = IPv4Network | IPv6Network


def _run(app: App, options: Parsed) -> int:
    body: dict[str, Any] = {
        "Name": options.args[0],
        "Driver": options["driver"],
        "Scope": options["scope"],
        "IPAM": {
            "Driver": options["ipam-driver"],
            "Options": options["ipam-opt"],
            "Config": _subnets(options),
        },
        "Internal": options["internal"],
        "Attachable": options["attachable"],
        "Ingress": options["ingress"],
        "ConfigOnly": options["config-only"],
        "ConfigFrom": {"Network": options["config-from"]} if options["config-from"] else None,
        "Options": options["opt"],
        "Labels": pairs(options["label"]),
    }
    for name, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if options.given(name):
            body[key] = options[name]
    app.line(network.create(app.client, body))
    return 0


def _subnets(options: Parsed) -> list[dict[str, Any]]:
    """Every subnet with the range, gateway and reserved addresses that lie in it."""
    subnets, ranges, gateways = options["subnet"], options["ip-range"], options["gateway"]
    if len(subnets) < max(len(ranges), len(gateways)):
        raise CliError("every ip-range or gateway must have a corresponding subnet")
    found: dict[str, dict[str, Any]] = {}
    for one in subnets:
        if any(_contains(one, other) or _contains(other, one) for other in found):
            raise CliError("multiple overlapping subnet configuration is not supported")
        found[one] = {"Subnet": one}
    for kind, key, words, values in (
        ("range", "IPRange", "multiple ranges ({}, {}) on", ranges),
        ("gateway", "Gateway", "multiple gateways ({}, {}) for", gateways),
    ):
        for value in values:
            for subnet in _owners(found, value, kind):
                known = found[subnet].get(key)
                if known:
                    raise CliError(f"cannot configure {words.format(value, known)} the same subnet ({subnet})")
                found[subnet][key] = value
    for name, address in options["aux-address"].items():
        for subnet in _owners(found, address, "aux-address"):
            found[subnet].setdefault("AuxiliaryAddresses", {})[name] = address
    return list(found.values())


def _owners(found: dict[str, dict[str, Any]], value: str, kind: str) -> list[str]:
    owners = [subnet for subnet in found if _contains(subnet, value)]
    if not owners:
        raise CliError(f"no matching subnet for {kind} {value}")
    return owners


def _contains(subnet: str, value: str) -> bool:
    import ipaddress

    try:
        outer: Network = ipaddress.ip_network(_cidr(subnet), strict=False)
    except ValueError:
        raise CliError(f"invalid subnet: invalid CIDR address: {subnet}") from None
    try:
        return ipaddress.ip_address(value.partition("/")[0]) in outer
    except ValueError:
        if "/" in value:
            raise CliError(f"invalid CIDR address: {value}") from None
        return False


def _cidr(text: str) -> str:
    if "/" not in text:
        raise ValueError(text)
    return text


CREATE = Command(
    _run,
    usage="[OPTIONS] NETWORK",
    short="Create a network",
    options=(
        Option("attachable", "", "bool", "Enable manual container attachment"),
        Option("aux-address", "", "map", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
        Option("config-from", "", "string", "The network from which to copy the configuration", since="1.30"),
        Option("config-only", "", "bool", "Create a configuration only network", since="1.30"),
        Option("driver", "d", "string", "Driver to manage the Network", default="bridge"),
        Option("gateway", "", "strings", "IPv4 or IPv6 Gateway for the master subnet"),
        Option("ingress", "", "bool", "Create swarm routing-mesh network", since="1.29"),
        Option("internal", "", "bool", "Restrict external access to the network"),
        Option("ip-range", "", "strings", "Allocate container ip from a sub-range"),
        Option("ipam-driver", "", "string", "IP Address Management Driver", default="default"),
        Option("ipam-opt", "", "map", "Set IPAM driver specific options"),
        Option("ipv4", "", "bool", "Enable or disable IPv4 address assignment", default=True),
        Option("ipv6", "", "bool", "Enable or disable IPv6 address assignment"),
        Option("label", "", "list", "Set metadata on a network", check="label"),
        Option("opt", "o", "map", "Set driver specific options"),
        Option("scope", "", "string", "Control the network's scope", since="1.30"),
        Option("subnet", "", "strings", "Subnet in CIDR format that represents a network segment"),
    ),
    minimum=1,
    maximum=1,
)
