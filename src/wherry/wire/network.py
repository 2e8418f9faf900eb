"""Networks, endpoints and published ports as the Engine API writes them (Network, EndpointSettings, PortMap).

Every field has the default that Go gives it, so that an answer carries the keys that dockerd sends and a request may
leave out any of them. Where dockerd distinguishes null from an empty value the type does too.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from wherry.wire.base import Wire


class PortBinding(Wire, frozen=True, kw_only=True):
    """One place on the host where a container's port is published; the port is decimal text, a range or empty."""

    host_ip: str = ""
    host_port: str = ""


PortMap: TypeAlias = dict[str, list[PortBinding] | None]
"""``"80/tcp"`` to the bindings of that port; null means exposed and not published."""


class EndpointIPAMConfig(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Addresses that the user asked for on one network."""

    ipv4_address: str = msgspec.field(default="", name="IPv4Address")
    ipv6_address: str = msgspec.field(default="", name="IPv6Address")
    link_local_ips: list[str] | None = msgspec.field(default=None, name="LinkLocalIPs")


class EndpointSettings(Wire, frozen=True, kw_only=True):
    """A container's place on one network: what was asked for and, while it runs, what it got."""

    ipam_config: EndpointIPAMConfig | None = msgspec.field(default=None, name="IPAMConfig")
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0
    network_id: str = msgspec.field(default="", name="NetworkID")
    endpoint_id: str = msgspec.field(default="", name="EndpointID")
    gateway: str = ""
    ip_address: str = msgspec.field(default="", name="IPAddress")
    ip_prefix_len: int = msgspec.field(default=0, name="IPPrefixLen")
    ipv6_gateway: str = msgspec.field(default="", name="IPv6Gateway")
    global_ipv6_address: str = msgspec.field(default="", name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = msgspec.field(default=0, name="GlobalIPv6PrefixLen")
    dns_names: list[str] | None = msgspec.field(default=None, name="DNSNames")


class NetworkingConfig(Wire, frozen=True, kw_only=True):
    """The part of a container's create request that names its networks."""

    endpoints_config: dict[str, EndpointSettings | None] | None = None


class IPAMConfig(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """One address pool of a network."""

    subnet: str = ""
    ip_range: str = msgspec.field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] | None = None


class IPAM(Wire, frozen=True, kw_only=True):
    """How a network's addresses are managed."""

    driver: str = "default"
    options: dict[str, str] | None = None
    config: list[IPAMConfig] | None = None


class ConfigReference(Wire, frozen=True, kw_only=True):
    """The config-only network that another one takes its configuration from."""

    network: str = ""


class NetworkContainer(Wire, frozen=True, kw_only=True):
    """A running container's endpoint as ``network inspect`` shows it; addresses with their prefix length."""

    name: str = ""
    endpoint_id: str = msgspec.field(default="", name="EndpointID")
    mac_address: str = ""
    ipv4_address: str = msgspec.field(default="", name="IPv4Address")
    ipv6_address: str = msgspec.field(default="", name="IPv6Address")


class NetworkInspect(Wire, frozen=True, kw_only=True):
    """A network. In a list ``containers`` is empty."""

    name: str
    id: str
    created: str
    scope: str = "local"
    driver: str
    enable_ipv4: bool = msgspec.field(default=True, name="EnableIPv4")
    enable_ipv6: bool = msgspec.field(default=False, name="EnableIPv6")
    ipam: IPAM = msgspec.field(default_factory=IPAM, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_from: ConfigReference = msgspec.field(default_factory=ConfigReference)
    config_only: bool = False
    containers: dict[str, NetworkContainer] = msgspec.field(default_factory=dict)
    options: dict[str, str] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)


NetworkSummary: TypeAlias = NetworkInspect
"""An entry of ``GET /networks``: the same shape without containers."""


class NetworkCreateRequest(Wire, frozen=True, kw_only=True):
    """``POST /networks/create``."""

    name: str = ""
    check_duplicate: bool = True
    driver: str = ""
    scope: str = ""
    enable_ipv4: bool | None = msgspec.field(default=None, name="EnableIPv4")
    enable_ipv6: bool | None = msgspec.field(default=None, name="EnableIPv6")
    ipam: IPAM | None = msgspec.field(default=None, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigReference | None = None
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class NetworkCreateResponse(Wire, frozen=True, kw_only=True):
    """The new network's id."""

    id: str
    warning: str = ""


class ConnectRequest(Wire, frozen=True, kw_only=True):
    """``POST /networks/{id}/connect``."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


class DisconnectRequest(Wire, frozen=True, kw_only=True):
    """``POST /networks/{id}/disconnect``."""

    container: str = ""
    force: bool = False


class NetworksPruneReport(Wire, frozen=True, kw_only=True):
    """Names of the networks that a prune removed; null when there were none."""

    networks_deleted: list[str] | None = None
