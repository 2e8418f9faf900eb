"""``--network`` and its companions, as the API's EndpointSettings."""

from __future__ import annotations

from wherry.cli.values import fields, mac_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.flags import Parsed

_BUILT_IN = {"", "default", "bridge", "host", "none"}


def settings(**given: Any) -> dict[str, Any]:
    """An EndpointSettings with every field, as Go writes it."""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": "",
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
        **given,
    }


def is_user_defined(name: str) -> bool:
    """Whether a network mode names a network that somebody made."""
    return name not in _BUILT_IN and not name.startswith("container:")


def parse_network(text: str) -> dict[str, Any]:
    """Read one ``--network``. Raises ``ValueError`` with docker's words."""
    found: dict[str, Any] = {"name": text}
    if not _is_long(text):
        return found
    found["name"] = ""
    for field in fields(text):
        name, has_value, value = field.lower().partition("=")
        if not has_value or not name:
            raise ValueError(f"invalid field {field}")
        _apply(found, name.strip(), value.strip())
    if not found["name"]:
        raise ValueError("network name/id is not specified")
    return found


def _is_long(text: str) -> bool:
    """Whether word=word occurs in it."""
    at = text.find("=")
    while at >= 0:
        around = text[max(at - 1, 0) : at] + text[at + 1 : at + 2]
        if len(around) == 2 and all(one.isalnum() or one == "_" for one in around):
            return True
        at = text.find("=", at + 1)
    return False


def _apply(found: dict[str, Any], name: str, value: str) -> None:
    if name in {"name", "ip", "ip6", "mac-address"}:
        found[name] = value
    elif name in {"alias", "link-local-ip"}:
        found.setdefault(name, []).append(value)
    elif name == "driver-opt":
        option, has_value, setting = value.partition("=")
        if not has_value or not option:
            raise ValueError("invalid key value pair format in driver options")
        found.setdefault(name, {})[option.strip()] = setting.strip()
    elif name == "gw-priority":
        digits = value[1:] if value[:1] in {"+", "-"} else value
        if not digits.isascii() or not digits.isdigit():
            raise ValueError(f"invalid gw-priority ({value}): invalid syntax")
        found[name] = int(value)
    else:
        raise ValueError(f"invalid field key {name}")


_CONFLICTS = (
    ("alias", "network-alias", "--network-alias and per-network alias"),
    ("link", "link", "--link and per-network links"),
    ("ip", "ip", "--ip and per-network IPv4 address"),
    ("ip6", "ip6", "--ip6 and per-network IPv6 address"),
    ("mac-address", "mac-address", "--mac-address and per-network MAC address"),
    ("link-local-ip", "link-local-ip", "--link-local-ip and per-network link-local IP addresses"),
)


def endpoints(options: Parsed) -> dict[str, dict[str, Any]]:
    """EndpointsConfig of a create request. Raises ``ValueError``."""
    networks = options["network"]
    if not networks:
        return {"default": _endpoint(_with_options({"name": "default"}, options))}
    found: dict[str, dict[str, Any]] = {}
    for at, given in enumerate(networks):
        network = given if at else _with_options(given, options)
        endpoint = _endpoint(network)
        name = network["name"]
        if name in found:
            raise ValueError(f'network "{name}" is specified multiple times')
        if len(networks) == 1 and endpoint == settings():
            continue
        found[name] = endpoint
    if len({is_user_defined(network["name"]) for network in networks}) > 1:
        raise ValueError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    return found


def _with_options(network: dict[str, Any], options: Parsed) -> dict[str, Any]:
    merged = dict(network)
    for name, option, words in _CONFLICTS:
        if network.get(name) and options[option]:
            raise ValueError(f"conflicting options: cannot specify both {words}")
        if options[option] and (name != "link" or is_user_defined(network["name"])):
            merged[name] = options[option]
    return merged


def _endpoint(network: dict[str, Any]) -> dict[str, Any]:
    if not network["name"].strip():
        raise ValueError("no name set for network")
    if not is_user_defined(network["name"]):
        if network.get("alias"):
            raise ValueError("network-scoped aliases are only supported for user-defined networks")
        if network.get("link"):
            raise ValueError("links are only supported for user-defined networks")
    addresses = {
        key: network[name]
        for key, name in (("IPv4Address", "ip"), ("IPv6Address", "ip6"), ("LinkLocalIPs", "link-local-ip"))
        if network.get(name)
    }
    if network.get("mac-address"):
        mac_address(network["mac-address"])
    return settings(
        IPAMConfig=addresses or None,
        Links=network.get("link") or None,
        Aliases=network.get("alias") or None,
        MacAddress=network.get("mac-address", ""),
        DriverOpts=network.get("driver-opt"),
        GwPriority=network.get("gw-priority", 0),
    )
