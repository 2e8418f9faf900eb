"""What networks ask of containers when one is connected or disconnected: see ``engine.networks.ContainerDirectory``."""

from __future__ import annotations

import asyncio

import msgspec

from wherry.engine.containers.context import Context
from wherry.engine.containers.networking import sandbox_record, write_etc_files
from wherry.engine.networks import ContainerInfo
from wherry.network.model import Sandbox
from wherry.wire.network import EndpointSettings


class NetworkDirectory:
    """The containers as the networks see them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def find(self, key: str) -> ContainerInfo:
        """A container by name, id or start of an id. Raises NotFound, InvalidArgument."""
        record = self._context.registry.find(key).record
        return ContainerInfo(
            id=record.id,
            name=record.name,
            running=record.state.alive,
            network_mode=record.host_config.network_mode,
            endpoints=record.endpoints,
        )

    async def set_endpoint(self, container_id: str, network: str, settings: EndpointSettings | None) -> None:
        """Keep what a container asks of a network; None takes it off that network."""
        entry = self._context.registry.find(container_id)
        async with entry.lock:
            endpoints = {name: kept for name, kept in entry.record.endpoints.items() if name != network}
            if settings is not None:
                endpoints[network] = settings
            await self._context.registry.update(entry, msgspec.structs.replace(entry.record, endpoints=endpoints))

    async def set_sandbox(self, container_id: str, sandbox: Sandbox) -> None:
        """A running container's network has changed: keep its settings, write its files anew in place."""
        entry = self._context.registry.find(container_id)
        async with entry.lock:
            if not entry.record.state.alive:
                return
            changed = msgspec.structs.replace(entry.record, sandbox=sandbox_record(sandbox))
            await self._context.registry.update(entry, changed)
            await asyncio.to_thread(write_etc_files, self._context, changed, sandbox)
