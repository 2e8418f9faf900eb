"""Network namespaces: made ahead of need, given out, opened again, dropped; and what is configured inside them.

A namespace is a file ``<netns_dir>/<first 12 digits of the sandbox id>``. Making one costs 2 ms, so a few lie ready
with their loopback up; the stock is filled up in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.lib.errors import Internal
from wherry.lib.ids import new_id, short
from wherry.linux.netlink import Message, Netlink
from wherry.linux.rtnetlink import add_address, find_link, set_default_route, set_link
from wherry.network.host import Host
from wherry.network.ledger import Network
from wherry.network.model import NamespaceFactory, NetnsHandle
from wherry.state.network import EndpointRecord

LOOPBACK = 1
"""Index of lo, the first link of every namespace."""
DEADLINE_S = 10.0
REST_S = 0.02
"""Before each one made ahead of need: the join under way wants the same kernel lock."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Space:
    """A fresh namespace."""

    sandbox_id: str
    path: Path
    handle: NetnsHandle


class Namespaces:
    """The namespaces of one daemon."""

    def __init__(
        self, directory: Path, factory: NamespaceFactory, host: Host, spare: int, *, user_namespaces: bool = False
    ) -> None:
        self._directory = directory
        self._factory = factory
        self._host = host
        self._spare = spare
        self._common = "" if user_namespaces else None
        """The user namespace of those in stock, as ``JoinRequest`` has it."""
        self._stock: deque[Space] = deque()
        self._filling: asyncio.Task[None] | None = None

    async def take(self, user_namespace: str | None = None) -> Space:
        """A fresh namespace with its loopback up; the caller owns handle and path. Raises Internal."""
        if user_namespace != self._common:
            return await self._make(user_namespace)
        space = self._stock.popleft() if self._stock else await self._make(user_namespace)
        self._refill()
        return space

    async def open(self, path: Path, *, ipv6: bool) -> NetnsHandle:
        """Open a namespace again; ``ipv6`` allows IPv6 in it. Raises Internal."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._factory.netns(path, create=False, sysctls=_ipv6_settings(on=True) if ipv6 else {})
        except (OSError, TimeoutError) as error:
            raise Internal(f"network namespace {path}: {error}") from error

    async def drop(self, path: Path) -> None:
        """Remove a namespace's file; it ends with its last process."""
        async with asyncio.timeout(DEADLINE_S):
            await self._factory.drop_netns(path)

    async def sweep(self, known: Collection[Path]) -> None:
        """Make the directory, drop every namespace in it that is not ``known``, begin to fill the stock."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._directory.iterdir()):
            if path.with_suffix("") not in known:  # ``.user`` is the user namespace of the one without
                _log.info("dropping network namespace %s of no container", path)
                await self.drop(path)
        self._refill()

    def unused(self, endpoints: Collection[EndpointRecord]) -> list[Path]:
        """For a check: namespaces that neither ``endpoints`` nor the stock have. Blocking."""
        known = {Path(one.sandbox.netns) for one in endpoints if one.sandbox.netns}
        found = [path for path in self._directory.iterdir() if path.suffix == ""]
        known |= {space.path for space in list(self._stock)}
        return [path for path in found if path not in known]

    async def close(self) -> None:
        """Stop filling and drop the stock. One that is being made is waited for: cut short, it would stay mounted."""
        self._spare = 0
        if self._filling is not None:
            await self._filling
        while self._stock:
            space = self._stock.popleft()
            space.handle.close()
            with contextlib.suppress(OSError, TimeoutError):
                await self.drop(space.path)

    async def _make(self, user_namespace: str | None) -> Space:
        sandbox_id = new_id()
        path = self._directory / short(sandbox_id)
        try:
            async with asyncio.timeout(DEADLINE_S):
                handle = await self._factory.netns(
                    path, create=True, sysctls=_ipv6_settings(on=False), user_namespace=user_namespace
                )
        except (OSError, TimeoutError) as error:
            raise Internal(f"making network namespace {path}: {error}") from error
        try:
            await self._host.run(_loopback_up, handle)
        except BaseException:
            handle.close()
            await self.drop(path)
            raise
        return Space(sandbox_id, path, handle)

    def _refill(self) -> None:
        if len(self._stock) < self._spare and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill(), name="network namespaces")

    async def _fill(self) -> None:
        try:
            while len(self._stock) < self._spare:
                await asyncio.sleep(REST_S)
                if len(self._stock) < self._spare:
                    self._stock.append(await self._make(self._common))
        except (Internal, OSError) as error:
            _log.warning("no network namespace ahead of need: %s", error)


def configure(handle: NetnsHandle, endpoints: Sequence[EndpointRecord], networks: dict[str, Network]) -> None:
    """Raise the inner ends of ``endpoints``, give them their addresses and the default routes. Raises OSError."""
    with Netlink(fd=handle.route_fd) as inside:
        for endpoint in endpoints:
            if not endpoint.interface:
                continue
            index = find_link(inside, endpoint.interface).index
            batch = [set_link(index=index, up=True)]
            batch += [
                add_address(index, ipaddress.ip_interface(text)) for text in (endpoint.ipv4, endpoint.ipv6) if text
            ]
            if endpoint.gateway:
                batch += default_routes(endpoint, networks[endpoint.network_id], index)
            inside.send(*batch)


def default_routes(endpoint: EndpointRecord, network: Network, index: int) -> list[Message]:
    """The default routes by way of an endpoint, one for each family that it has."""
    pairs = ((endpoint.ipv4, network.pool4), (endpoint.ipv6, network.pool6))
    return [set_default_route(pool.gateway, index) for text, pool in pairs if text and pool is not None]


def set_gateway(handle: NetnsHandle, endpoint: EndpointRecord, network: Network) -> None:
    """Put the default routes on an endpoint that is configured already. Raises OSError."""
    with Netlink(fd=handle.route_fd) as inside:
        index = find_link(inside, endpoint.interface).index
        inside.send(*default_routes(endpoint, network, index))


def _loopback_up(handle: NetnsHandle) -> None:
    with Netlink(fd=handle.route_fd) as inside:
        inside.send(set_link(index=LOOPBACK, up=True))


def _ipv6_settings(*, on: bool) -> dict[str, str]:
    """Docker keeps IPv6 off in a container whose networks have none. A kernel without IPv6 has no such setting.

    Addresses are ours to give, so nobody asks for duplicates; a bridge port that hears itself would find some.
    """
    if not os.path.isdir("/proc/sys/net/ipv6"):
        return {}
    value = "0" if on else "1"
    settings = {f"net.ipv6.conf.{scope}.disable_ipv6": value for scope in ("all", "default")}
    return settings | {"net.ipv6.conf.default.accept_dad": "0"}
