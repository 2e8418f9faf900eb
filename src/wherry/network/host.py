"""The daemon's own network namespace: one thread that alone talks to its kernel side.

The calls are short but take kernel locks that a namespace being torn down may hold for long, so they stay off the event
loop; one thread keeps them in order and makes the objects on it (netlink, nft, ports) single-user.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from wherry.linux.netlink import NETLINK_NETFILTER, Netlink
from wherry.linux.nftables import Monitor
from wherry.linux.rtnetlink import list_addresses, list_routes
from wherry.network.firewall import Firewall
from wherry.network.ipam import Network
from wherry.network.ports import Holder, PortTable

P = ParamSpec("P")
T = TypeVar("T")

_EPHEMERAL = (32768, 60999)


class Outside(Protocol):
    """The real host, of a daemon that lives in a network namespace behind it."""

    def bind(self, protocol: str, host_ip: str, port: int) -> Holder | None:
        """Have the host's port sent here, to the same port. Raises OSError."""


class Host:
    """What the network room holds of the host. Attributes are for functions given to ``run`` only."""

    netlink: Netlink
    netfilter: Netlink
    firewall: Firewall
    ports: PortTable
    monitor: Monitor

    def __init__(self, table: str, *, enter: Callable[[], None] | None = None, outside: Outside | None = None) -> None:
        """``enter`` is called first on the thread: a test takes it into a namespace that plays the host.

        ``outside`` is where ports are published when that is not here.
        """
        self._table = table
        self._outside = outside
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network", initializer=enter)
        self._undo = contextlib.ExitStack()

    async def open(self) -> None:
        """Open the sockets. Raises OSError."""
        await self.run(self._open)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do ``work`` on the thread; once begun it ends even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.shield(loop.run_in_executor(self._thread, call))

    async def close(self) -> None:
        """Close everything; what is set up in the kernel stays."""
        await self.run(self._undo.close)
        self._thread.shutdown()

    def _open(self) -> None:
        with contextlib.ExitStack() as undo:
            self.netlink = undo.enter_context(Netlink())
            self.netfilter = undo.enter_context(Netlink(NETLINK_NETFILTER))
            self.firewall = undo.enter_context(contextlib.closing(Firewall(self._table)))
            self.monitor = undo.enter_context(contextlib.closing(Monitor()))
            self.ports = undo.enter_context(
                contextlib.closing(PortTable(_ephemeral_ports(), self._outside.bind if self._outside else None))
            )
            self._undo = undo.pop_all()

    def local_address(self, host_ip: str) -> str:
        """The address that traffic for a published port has when it comes in here."""
        if self._outside is None:
            return host_ip
        return "::" if ":" in host_ip else "0.0.0.0"  # noqa: S104  whatever it was sent to out there

    def networks_in_use(self) -> list[Network]:
        """Subnets that the host has routes or addresses in."""
        routes = [route.destination for route in list_routes(self.netlink) if route.destination is not None]
        return routes + [interface.network for _, interface in list_addresses(self.netlink)]


def read_sysctl(name: str) -> str:
    """A kernel setting by its path below /proc/sys. The ``net`` part is that of the thread's namespace."""
    with open(f"/proc/sys/{name}", encoding="ascii") as file:
        return file.read().strip()


def write_sysctl(name: str, value: str) -> None:
    """Set a kernel setting by its path below /proc/sys, unless it has that value already. Raises OSError."""
    if read_sysctl(name) != value:
        with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
            file.write(value)


def _ephemeral_ports() -> tuple[int, int]:
    with contextlib.suppress(OSError, ValueError):
        first, last = read_sysctl("net/ipv4/ip_local_port_range").split()
        return int(first), int(last)
    return _EPHEMERAL
