"""What a caller gives the network room and gets back, and the few things it needs from its surroundings.

The words are those of the Container Network Model: a *sandbox* is a container's network stack, an *endpoint* joins a
sandbox to a *network*. A container's life here:

    join(JoinRequest) → Sandbox      before its program starts: namespace, interfaces, addresses, ports, files
    connect, disconnect → Sandbox    while it runs
    leave(container_id)              after its last process has ended
    restore(live)                    when the daemon starts: adopt what lives, remove what does not
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from pathlib import Path
from typing import Protocol

from wherry.wire.network import EndpointSettings, PortMap

DEFAULT_POOLS: tuple[tuple[IPv4Network, int], ...] = (
    (IPv4Network("172.17.0.0/16"), 16),
    (IPv4Network("172.18.0.0/16"), 16),
    (IPv4Network("172.19.0.0/16"), 16),
    (IPv4Network("172.20.0.0/14"), 16),
    (IPv4Network("172.24.0.0/14"), 16),
    (IPv4Network("172.28.0.0/14"), 16),
    (IPv4Network("192.168.0.0/16"), 20),
)
"""Docker's pools for local networks: a block, and the prefix length of the networks cut from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """The daemon's network settings. Daemons side by side differ in bridge, table and netns directory."""

    netns_dir: Path
    """Where namespaces are bind-mounted, ``<exec-root>/netns``."""
    bridge: str = "wherry0"
    """The default network's bridge, at most 15 bytes."""
    table: str = "wherry"
    """The nftables table of this daemon, ``inet <table>``."""
    bip: IPv4Interface | None = None
    """The default bridge's own address; None takes the first free pool."""
    fixed_cidr: IPv4Network | None = None
    """Where the default bridge's containers get their addresses, within ``bip``'s network."""
    pools: tuple[tuple[IPv4Network, int], ...] = DEFAULT_POOLS
    mtu: int = 1500
    ip_forward: bool = True
    """Turn the kernel's forwarding on, for IPv6 only when a network has it (the host then ignores router adverts)."""
    icc: bool = True
    """Whether containers on the default bridge may talk to each other."""
    ip_masquerade: bool = True
    default_binding: str = "0.0.0.0"  # noqa: S104 - Docker's default, given by --ip
    """Host address of a published port that names none."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_gateway: IPv4Address | IPv6Address | None = None
    """What ``host-gateway`` stands for in extra hosts; None is the default bridge's address."""
    spare_namespaces: int = 2
    """How many namespaces are made ahead of need; 0 turns the stock off."""
    user_namespaces: bool = False
    """Whether those made ahead belong to a user namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """A container about to start."""

    container_id: str
    container_name: str
    """Without a leading slash."""
    hostname: str
    domainname: str = ""
    mode: str = "default"
    """``HostConfig.NetworkMode``: default, bridge, host, none, or a network's name or id."""
    endpoints: Mapping[str, EndpointSettings] = field(default_factory=dict)
    """The stored ``EndpointsConfig``, by network name; the network of ``mode`` is added when it is missing."""
    exposed_ports: tuple[str, ...] = ()
    """``80/tcp`` …, of the image and of the container."""
    port_bindings: PortMap = field(default_factory=dict)
    publish_all: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    """``name:address`` or ``name=address``."""
    mac_address: str = ""
    """``Config.MacAddress``, for the network of ``mode``."""
    user_namespace: str | None = None
    """The user namespace that the network namespace belongs to: a path, empty for a new one, None for the host's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A container's network stack as it now is. The caller writes the two files, in place when the container runs."""

    container_id: str
    sandbox_id: str
    sandbox_key: str
    """Path of the namespace; for host mode Docker's word for the host's own."""
    netns: Path | None
    """None: the host's namespace."""
    endpoints: dict[str, EndpointSettings]
    """``NetworkSettings.Networks``, filled."""
    ports: PortMap
    """``NetworkSettings.Ports``."""
    hosts: bytes
    """Contents of /etc/hosts."""
    resolv_conf: bytes
    """Contents of /etc/resolv.conf."""


class NetnsHandle(Protocol):
    """An open network namespace; whoever gets it closes it."""

    @property
    def ns_fd(self) -> int:
        """The namespace itself, for IFLA_NET_NS_FD."""

    @property
    def route_fd(self) -> int:
        """A NETLINK_ROUTE socket that lives in it."""

    def close(self) -> None:
        """Close both descriptors."""


class NamespaceFactory(Protocol):
    """Makes and opens namespaces without the daemon ever entering one."""

    async def netns(
        self, path: Path, *, create: bool, sysctls: Mapping[str, str] = ..., user_namespace: str | None = ...
    ) -> NetnsHandle:
        """Open the namespace mounted at ``path``, made first when ``create``; then set ``sysctls`` in it.

        A new one belongs to ``user_namespace``, see ``JoinRequest``.
        """

    async def drop_netns(self, path: Path) -> None:
        """Unmount and unlink ``path``; quiet when it is gone."""


class EventSink(Protocol):
    """Takes events as they happen."""

    def emit(self, type: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:  # noqa: A002
        """Record one event; returns at once."""
