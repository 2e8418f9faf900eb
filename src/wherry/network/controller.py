"""The one that joins containers to networks: ``model.py`` says what a container's life here is, ``room.py`` with what.

A change goes into the ledger first, which reserves its addresses, then into kernel and store at the same time; a
failure undoes all three. A crash in between leaves what ``restore`` recognises and removes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from wherry.lib.errors import Conflict, Forbidden, Internal, InvalidArgument, WherryError
from wherry.lib.ids import new_id
from wherry.network import endpoint as kernel
from wherry.network import networks, plan
from wherry.network.drivers.bridge import BridgeDriver, read_options
from wherry.network.drivers.plain import PlainDriver
from wherry.network.endpoint import Fabric
from wherry.network.guard import FirewallGuard
from wherry.network.host import Host
from wherry.network.ledger import Ledger, Network
from wherry.network.model import EventSink, JoinRequest, NamespaceFactory, NetnsHandle, NetworkConfig, Sandbox
from wherry.network.neighbours import Neighbours
from wherry.network.reaper import LinkReaper
from wherry.network.restore import restore
from wherry.network.room import Room, everything
from wherry.network.sandbox import Namespaces
from wherry.network.view import sandbox_view
from wherry.state.database import Database
from wherry.state.network import EndpointRecord, NetworkStore, SandboxRecord
from wherry.wire.network import EndpointSettings, NetworkCreateRequest

Wanted = Sequence[tuple[Network, EndpointSettings]]

_log = logging.getLogger(__name__)


class NetworkController:
    """The networking of one daemon. Belongs to one event loop."""

    def __init__(
        self,
        config: NetworkConfig,
        database: Database,
        namespaces: NamespaceFactory,
        events: EventSink,
        *,
        host: Host | None = None,
    ) -> None:
        """``host`` is another one than the machine itself in tests only."""
        self._host = host or Host(config.table)
        drivers = (BridgeDriver(config.mtu, ip_forward=config.ip_forward), PlainDriver("host"), PlainDriver("null"))
        self.room = Room(
            config=config,
            ledger=Ledger(),
            store=NetworkStore(database),
            fabric=Fabric(self._host, {driver.kind: driver for driver in drivers}),
            spaces=Namespaces(
                config.netns_dir,
                namespaces,
                self._host,
                config.spare_namespaces,
                user_namespaces=config.user_namespaces,
            ),
            reaper=LinkReaper(self._host),
            events=events,
        )
        self._ledger = self.room.ledger
        self._guard = FirewallGuard(self._host)
        self.neighbours = Neighbours(self.sandbox)
        self._restored = False
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changing_networks = asyncio.Lock()

    async def start(self) -> None:
        """Open the sockets to the kernel. Raises OSError."""
        await self._host.open()

    async def restore(self, live: Collection[str]) -> dict[str, Sandbox]:
        """Bring state and kernel together at start; call once, before everything else.

        Networks are set up again, what belongs to containers that are not ``live`` (ids) goes, the firewall is
        written. Returns the sandbox of each live container that has one. Raises WherryError, OSError.
        """
        await restore(self.room, live)
        self._restored = True
        self._guard.start()
        self.neighbours.changed(self._ledger.containers())
        return {container_id: self._view(container_id) for container_id in self._ledger.containers()}

    async def close(self) -> None:
        """Stop; running containers keep their networks. Where none runs, nothing is left on the machine."""
        await self._guard.close()
        await self.neighbours.close()
        await self.room.reaper.close()
        await self.room.spaces.close()
        if self._restored and not self._ledger.containers():
            await self.room.take_down()
        await self._host.close()

    def sandbox(self, container_id: str) -> Sandbox | None:
        """A container's sandbox as it now is; None when it has none. Never waits."""
        return self._view(container_id) if self._ledger.endpoints_in(container_id) else None

    def networks(self) -> list[Network]:
        """Every network. Never waits."""
        return self._ledger.networks()

    def network(self, name_or_id: str) -> Network:
        """One network. Raises NotFound, InvalidArgument. Never waits."""
        return self._ledger.network(name_or_id)

    def endpoints(self, network: Network) -> list[EndpointRecord]:
        """The endpoints of running containers on a network. Never waits."""
        return self._ledger.endpoints_on(network.id)

    async def create_network(self, request: NetworkCreateRequest) -> Network:
        """Make a network. Raises InvalidArgument, Conflict, Forbidden, NotFound, NotBuilt, Internal."""
        async with self._changing_networks:
            return await networks.create(self.room, request)

    async def remove_network(self, name_or_id: str) -> Network:
        """Remove a network that no running container is on. Raises NotFound, Forbidden, Internal."""
        async with self._changing_networks:
            return await networks.remove(self.room, name_or_id)

    async def join(self, request: JoinRequest) -> Sandbox:
        """Make a container's sandbox and endpoints. On failure nothing is left.

        Raises NotFound, InvalidArgument, Forbidden, Conflict, Internal.
        """
        async with self._locked(request.container_id):
            await self._leave(request.container_id)
            wanted = plan.wanted_networks(self._ledger, request)
            if wanted[0][0].record.driver == "host":
                await self._join_host(request, wanted[0])
                return self._view(request.container_id)
            space = await self.room.spaces.take(request.user_namespace)
            try:
                record = plan.sandbox_record(request, space.sandbox_id, str(space.path))
                if any(network.pool6 is not None for network, _ in wanted):
                    (await self.room.spaces.open(space.path, ipv6=True)).close()
                await self._add(request.container_id, record, wanted, space.handle)
            except BaseException:
                await asyncio.shield(self.room.spaces.drop(space.path))
                raise
            finally:
                space.handle.close()
            return self._view(request.container_id)

    async def leave(self, container_id: str) -> None:
        """Undo ``join`` once the container has ended; quiet when there is nothing to undo. Raises Internal."""
        async with self._locked(container_id):
            await self._leave(container_id)

    async def connect(self, container_id: str, network_name: str, settings: EndpointSettings) -> Sandbox:
        """Join a running container to one more network. Raises what ``join`` raises."""
        async with self._locked(container_id):
            present = self._present(container_id)
            network = self._ledger.network(network_name)
            joined = [self._ledger.by_id(endpoint.network_id) for endpoint in present if not endpoint.parked]
            if network in joined:
                name = present[0].sandbox.container_name
                raise Forbidden(f"endpoint with name {name} already exists in network {network.name}")
            plan.check_company([network, *joined])
            plan.check_settings(network, settings)
            record = present[0].sandbox
            async with self._opened(record, ipv6=network.pool6 is not None) as handle:
                await self._add(container_id, record, [(network, settings)], handle)
                endpoints = self._ledger.endpoints_in(container_id)
                await self._move_gateway(endpoints, endpoints, handle)
            return self._view(container_id)

    async def disconnect(self, container_id: str, network_name: str) -> Sandbox:
        """Take a running container off a network. Raises NotFound, InvalidArgument, Conflict, Internal."""
        async with self._locked(container_id):
            network = self._ledger.network(network_name)
            if network.record.driver == "host":
                raise InvalidArgument(plan.HOST_ALONE)
            present = self._present(container_id)
            leaving = next((item for item in present if item.network_id == network.id and not item.parked), None)
            if leaving is None:
                raise Internal(
                    f"container {container_id} is not connected to network {network.name}"
                )  # Docker answers 500
            await self._remove(leaving, present)
            return self._view(container_id)

    async def rename(self, container_id: str, name: str) -> None:
        """A container has another name from now on; quiet when it is not running."""
        async with self._locked(container_id):
            renamed = [
                msgspec.structs.replace(item, sandbox=msgspec.structs.replace(item.sandbox, container_name=name))
                for item in self._ledger.endpoints_in(container_id)
            ]
            self._ledger.put(renamed)
            await self.room.store.change_endpoints(put=renamed)
            self._tell_neighbours(renamed)

    def _present(self, container_id: str) -> list[EndpointRecord]:
        endpoints = self._ledger.endpoints_in(container_id)
        if not endpoints:
            raise Conflict(f"container {container_id} has no network of its own")
        return endpoints

    def _view(self, container_id: str) -> Sandbox:
        endpoints = self._ledger.endpoints_in(container_id)
        bridge = self._ledger.named("bridge")
        gateway = self.room.config.host_gateway or (bridge.pool4.gateway if bridge and bridge.pool4 else "")
        return sandbox_view(
            endpoints,
            self.room.networks_of(endpoints),
            config=self.room.config,
            host_hosts=_read("/etc/hosts"),
            host_resolv_conf=_read("/etc/resolv.conf"),
            host_gateway=str(gateway),
            neighbours=[item for endpoint in endpoints for item in self._around(endpoint)],
        )

    def _around(self, endpoint: EndpointRecord) -> list[EndpointRecord]:
        """The endpoints on a user-defined network that the container knows by name, its own among them."""
        known = not endpoint.parked and not self._ledger.by_id(endpoint.network_id).predefined
        return self._ledger.endpoints_on(endpoint.network_id) if known else []

    def _tell_neighbours(self, endpoints: Sequence[EndpointRecord]) -> None:
        """These endpoints have come, changed or gone: others see other names."""
        own = {endpoint.container_id for endpoint in endpoints}
        around = {item.container_id for endpoint in endpoints for item in self._around(endpoint)}
        self.neighbours.changed(around - own)

    async def _join_host(self, request: JoinRequest, wanted: tuple[Network, EndpointSettings]) -> None:
        network, settings = wanted
        endpoint = EndpointRecord(
            id=new_id(),
            network_id=network.id,
            container_id=request.container_id,
            asked=plan.asked_only(settings),
            sandbox=plan.sandbox_record(request, new_id(), ""),
        )
        self._ledger.put([endpoint])
        await self.room.store.change_endpoints(put=[endpoint])
        self.room.announce("connect", network, request.container_id)

    async def _add(self, container_id: str, record: SandboxRecord, wanted: Wanted, handle: NetnsHandle) -> None:
        """Add endpoints to a sandbox whose namespace is open: all of them or none."""
        room = self.room
        added: list[EndpointRecord] = []
        before = self._ledger.endpoints_in(container_id)
        parked = [item for item in before if item.parked]
        try:
            for network, settings in wanted:
                endpoint = plan.new_endpoint(
                    self._ledger,
                    network,
                    settings,
                    container_id=container_id,
                    sandbox=record,
                    interfaces={item.interface for item in [*before, *added]},
                    addressed=room.fabric.driver(network).addressed,
                )
                added.append(endpoint)
                self._ledger.put([endpoint])
            if not any(item.gateway for item in before):
                added = await self._open_gateway(added)
            await everything(
                room.kernel(kernel.attach, room.fabric, added, room.networks_of(added), handle),
                room.store.change_endpoints(put=added, delete=[item.id for item in parked]),
            )
        except BaseException:
            await asyncio.shield(self._undo(added, parked))
            raise
        self._ledger.drop(parked)
        self._tell_neighbours(added)
        for endpoint in added:
            room.announce("connect", self._ledger.by_id(endpoint.network_id), container_id)

    async def _open_gateway(self, added: list[EndpointRecord]) -> list[EndpointRecord]:
        """Let the best of new endpoints have default route and ports, and hold these on the host. Raises Internal."""
        networks = self.room.networks_of(added)
        chosen = plan.gateway_endpoint(added, networks)
        if chosen is None:
            return added
        network = networks[chosen.network_id]
        binding = read_options(network).binding if network.record.driver == "bridge" else ""
        target = msgspec.structs.replace(chosen, gateway=True)
        if target.sandbox.port_bindings or target.sandbox.publish_all:
            target = await self.room.kernel(
                kernel.reserve, self.room.fabric, target, binding or self.room.config.default_binding
            )
        self._ledger.put([target])
        return [target if item.id == target.id else item for item in added]

    async def _move_gateway(
        self, endpoints: Sequence[EndpointRecord], able: Sequence[EndpointRecord], handle: NetnsHandle
    ) -> None:
        """Put default route and ports on the best of the ``able``, if they are on another of ``endpoints`` now."""
        networks = self.room.networks_of(endpoints)
        former = next((item for item in endpoints if item.gateway), None)
        chosen = plan.gateway_endpoint(able, networks)
        if former is None or chosen is None or former.id == chosen.id:
            return
        target = msgspec.structs.replace(chosen, gateway=True, ports=former.ports)
        relieved = msgspec.structs.replace(former, gateway=False, ports=())
        await self.room.kernel(
            kernel.move_gateway, self.room.fabric, former, target, networks[target.network_id], handle
        )
        self._ledger.put([relieved, target])
        await self.room.store.change_endpoints(put=[relieved, target])

    async def _remove(self, leaving: EndpointRecord, present: Sequence[EndpointRecord]) -> None:
        """Take one endpoint from a sandbox that goes on; its ports and default route move on to another one."""
        room = self.room
        rest = [item for item in present if item.id != leaving.id]
        networks = room.networks_of(present)
        if leaving.gateway and plan.gateway_endpoint(rest, networks) is not None:
            async with self._opened(leaving.sandbox, ipv6=False) as handle:
                await self._move_gateway(present, rest, handle)
            leaving = msgspec.structs.replace(leaving, gateway=False, ports=())
        parked = [] if rest else [plan.parked_endpoint(leaving, self._ledger.network("none"))]
        self._ledger.put(parked)
        self._ledger.drop([leaving])
        await everything(
            room.kernel(kernel.detach, room.fabric, [leaving], networks, links=True),
            room.store.change_endpoints(put=parked, delete=[leaving.id]),
        )
        self._tell_neighbours([leaving])
        room.announce("disconnect", networks[leaving.network_id], leaving.container_id)

    async def _leave(self, container_id: str) -> None:
        room, endpoints = self.room, self._ledger.endpoints_in(container_id)
        if not endpoints:
            return
        networks = room.networks_of(endpoints)
        self._ledger.drop(endpoints)
        netns = endpoints[0].sandbox.netns
        try:
            await everything(
                room.kernel(kernel.detach, room.fabric, endpoints, networks, links=False),
                *([room.spaces.drop(Path(netns))] if netns else []),
                room.store.change_endpoints(delete=[endpoint.id for endpoint in endpoints]),
            )
        except OSError as error:
            raise Internal(f"network of container {container_id}: {error}") from error
        finally:
            room.reaper.watch(endpoint.link for endpoint in endpoints)
            self._tell_neighbours(endpoints)
        for endpoint in endpoints:
            if not endpoint.parked:
                room.announce("disconnect", networks[endpoint.network_id], container_id)

    async def _undo(self, added: Sequence[EndpointRecord], parked: Sequence[EndpointRecord]) -> None:
        """After a failed ``_add``: the sandbox as it was. Says what cannot be undone, and goes on."""
        room, networks = self.room, self.room.networks_of(added)
        self._ledger.drop(added)
        for step in (
            room.kernel(kernel.detach, room.fabric, added, networks, links=True),
            room.store.change_endpoints(put=parked, delete=[item.id for item in added]),
        ):
            try:
                await step
            except WherryError as error:
                _log.warning("undoing a failed join: %s", error)

    @asynccontextmanager
    async def _opened(self, record: SandboxRecord, *, ipv6: bool) -> AsyncIterator[NetnsHandle]:
        handle = await self.room.spaces.open(Path(record.netns), ipv6=ipv6)
        try:
            yield handle
        finally:
            handle.close()

    @asynccontextmanager
    async def _locked(self, container_id: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(container_id, asyncio.Lock())
        async with lock:
            yield


def _read(path: str) -> bytes:
    """A file of the host, empty when there is none."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
