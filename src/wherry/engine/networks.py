"""The use cases of networks: create, list, inspect, connect, disconnect, remove, prune.

A container that runs is connected in the kernel; for one that does not, only what it will ask for at its start is kept.
Which is which, and where that is kept, the ``ContainerDirectory`` knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from wherry.lib.errors import Forbidden, Internal, InvalidArgument, NotFound
from wherry.lib.filters import Filters
from wherry.lib.timespan import labels_match, until_ns
from wherry.network import plan
from wherry.network.controller import NetworkController
from wherry.network.ledger import Network
from wherry.network.model import EventSink, Sandbox
from wherry.network.view import network_inspect
from wherry.wire.network import (
    ConnectRequest,
    DisconnectRequest,
    EndpointSettings,
    NetworkCreateRequest,
    NetworkCreateResponse,
    NetworkInspect,
    NetworksPruneReport,
    NetworkSummary,
)

LIST_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
PRUNE_FILTERS = ("label", "label!", "until")
SCOPE = "local"
"""Every network is of this machine only."""
SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInfo:
    """What networks must know of a container."""

    id: str
    name: str
    """Without a leading slash."""
    running: bool
    network_mode: str
    endpoints: Mapping[str, EndpointSettings]
    """Its stored ``EndpointsConfig`` by network name."""


class ContainerDirectory(Protocol):
    """Where containers are found, and told how their networks have changed."""

    def find(self, key: str) -> ContainerInfo:
        """A container by name, id or start of an id. Raises NotFound, InvalidArgument."""

    async def set_endpoint(self, container_id: str, network: str, settings: EndpointSettings | None) -> None:
        """Keep what a container asks of a network, whether it runs or not; None takes it off that network."""

    async def set_sandbox(self, container_id: str, sandbox: Sandbox) -> None:
        """A running container's network has changed: keep its settings, write its files anew in place."""


class Networks:
    """The networks of one daemon."""

    def __init__(self, controller: NetworkController, containers: ContainerDirectory, events: EventSink) -> None:
        self._controller = controller
        self._containers = containers
        self._events = events
        controller.neighbours.listen(containers.set_sandbox)

    def list(self, filters: Filters | None = None) -> list[NetworkSummary]:
        """The networks that the filters let through. Raises InvalidArgument."""
        filters = filters or Filters()
        filters.check(LIST_FILTERS)
        checks = _checks(filters)
        matching = (network for network in self._controller.networks() if all(check(network) for check in checks))
        return [network_inspect(network, ()) for network in matching if self._in_use_as_asked(network, filters)]

    def inspect(self, key: str, *, scope: str = "") -> NetworkInspect:
        """One network with the running containers on it. Raises NotFound, InvalidArgument."""
        network = self._controller.network(key)
        if scope not in ("", SCOPE):
            raise NotFound(f"network {key} not found")
        return network_inspect(network, self._controller.endpoints(network))

    async def create(self, request: NetworkCreateRequest) -> NetworkCreateResponse:
        """Make a network. Raises InvalidArgument, Conflict, Forbidden, NotFound, NotBuilt, Internal."""
        return NetworkCreateResponse(id=(await self._controller.create_network(request)).id)

    async def remove(self, key: str) -> None:
        """Remove a network that no running container is on. Raises NotFound, Forbidden, Internal."""
        await self._controller.remove_network(key)

    async def connect(self, key: str, request: ConnectRequest) -> None:
        """Connect a container. Raises NotFound, InvalidArgument, Forbidden, Internal."""
        container = self._container(request.container)
        network = self._controller.network(key)
        settings = request.endpoint_config or EndpointSettings()
        mode = container.network_mode
        if mode == "host" or mode.startswith("container:"):
            raise InvalidArgument(SHARED if network.record.driver != "host" else plan.HOST_ALONE)
        if container.running:
            sandbox = await self._controller.connect(container.id, network.id, settings)
            await self._containers.set_endpoint(container.id, network.name, plan.asked_only(settings))
            await self._containers.set_sandbox(container.id, sandbox)
            return
        others = [self._controller.network(plan.primary_name(name)) for name in container.endpoints]
        plan.check_company([network, *(other for other in others if other.id != network.id)])
        plan.check_settings(network, settings)
        await self._containers.set_endpoint(container.id, network.name, plan.asked_only(settings))

    async def disconnect(self, key: str, request: DisconnectRequest) -> None:
        """Disconnect a container. Raises NotFound, InvalidArgument, Internal."""
        network = self._controller.network(key)
        container = self._container(request.container)
        if container.running:
            sandbox = await self._controller.disconnect(container.id, network.id)
            await self._containers.set_endpoint(container.id, network.name, None)
            await self._containers.set_sandbox(container.id, sandbox)
            return
        if network.name not in {plan.primary_name(name) for name in container.endpoints}:
            raise Internal(f"container {container.id} is not connected to the network {network.name}")
        await self._containers.set_endpoint(container.id, network.name, None)

    async def prune(self, filters: Filters | None = None) -> NetworksPruneReport:
        """Remove the networks that no running container is on. Raises InvalidArgument, Internal."""
        filters = filters or Filters()
        filters.check(PRUNE_FILTERS)
        until = until_ns(filters)
        deleted = []
        for network in self._controller.networks():
            young = until is not None and network.record.created > until
            if network.predefined or young or not labels_match(filters, network.record.labels):
                continue
            if self._controller.endpoints(network):
                continue
            try:
                await self._controller.remove_network(network.id)
            except Forbidden:  # somebody has joined it meanwhile
                continue
            deleted.append(network.name)
        self._events.emit("network", "prune", "", {"reclaimed": "0"})
        return NetworksPruneReport(networks_deleted=deleted or None)

    def _container(self, key: str) -> ContainerInfo:
        if not key:
            raise InvalidArgument('invalid name or ID supplied: ""')
        return self._containers.find(key)

    def _in_use_as_asked(self, network: Network, filters: Filters) -> bool:
        values = filters.get("dangling")
        if not values:
            return True
        if values[0] not in ("true", "1", "false", "0"):
            raise InvalidArgument('invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")')
        dangling = not network.predefined and not self._controller.endpoints(network)
        return dangling == (values[0] in ("true", "1"))


def _checks(filters: Filters) -> list[Callable[[Network], bool]]:
    """Each filter as a test of a network. Raises InvalidArgument."""
    for kind in filters.get("type"):
        if kind not in ("custom", "builtin"):
            raise InvalidArgument(f"invalid filter: 'type'='{kind}'")

    def kind_of(network: Network) -> str:
        return "builtin" if network.predefined else "custom"

    return [
        lambda network: _any(filters.get("driver"), lambda value: value == network.record.driver),
        lambda network: _any(filters.get("id"), lambda value: _match(value, network.id)),
        lambda network: _any(filters.get("name"), lambda value: _match(value, network.name)),
        lambda _: _any(filters.get("scope"), lambda value: value == SCOPE),
        lambda network: _any(filters.get("type"), lambda value: value == kind_of(network)),
        lambda network: filters.labels(network.record.labels),
    ]


def _any(values: tuple[str, ...], test: Callable[[str], bool]) -> bool:
    return not values or any(test(value) for value in values)


def _match(pattern: str, text: str) -> bool:
    """Docker's rule: equal, or found in the text as a regular expression."""
    if pattern == text:
        return True
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False
