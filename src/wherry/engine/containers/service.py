"""The containers of one daemon: every use case by its name, each in the file of that name."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, Awaitable, Sequence

from wherry.engine.containers import (
    attach,
    changes,
    commit,
    create,
    export,
    foreign,
    inspect,
    listing,
    logs,
    prune,
    remove,
    rename,
    restart,
    restore,
    start,
    stats,
    stop,
    top,
    update,
    wait,
)
from wherry.engine.containers.attachment import Session
from wherry.engine.containers.context import Context
from wherry.engine.containers.state import Status
from wherry.engine.system import ContainerCounts
from wherry.lib.filters import Filters
from wherry.logs.line import LogLine
from wherry.wire.container import (
    ContainerConfig,
    ContainerInspect,
    ContainerSummary,
    CreateRequest,
    CreateResponse,
    HostConfig,
    PruneReport,
    StatsResponse,
    TopResponse,
    UpdateResponse,
)


class Containers:
    """What ``api.routes.container`` asks for."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def restore(self) -> None:
        """Adopt or remove whatever an earlier daemon left. Call it before the API opens."""
        await restore.restore(self._context)

    async def close(self) -> None:
        """Stop watching and restarting; what runs goes on."""
        tasks = [
            task
            for entry in self._context.registry
            for task in (entry.restart_timer, entry.monitor, entry.removal)
            if task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        parent = self._context.settings.cgroup_parent
        if not self._context.cgroups.children(parent):
            await asyncio.to_thread(self._context.cgroups.remove, parent)
            foreign.drop_parent(self._context)

    # --- which there are ------------------------------------------------------------------------------------------

    async def list(self, *, everything: bool, limit: int, size: bool, filters: Filters) -> list[ContainerSummary]:
        return await listing.list_containers(
            self._context, everything=everything, limit=limit, size=size, filters=filters
        )

    async def create(self, request: CreateRequest, *, name: str, platform: str) -> CreateResponse:
        return await create.create(self._context, request, name=name, platform=platform)

    async def inspect(self, key: str, *, size: bool) -> ContainerInspect:
        return await inspect.inspect(self._context, key, size=size)

    async def rename(self, key: str, name: str) -> None:
        await rename.rename(self._context, key, name)

    async def update(self, key: str, change: HostConfig) -> UpdateResponse:
        return await update.update(self._context, key, change)

    async def remove(self, key: str, *, force: bool, volumes: bool) -> None:
        await remove.remove(self._context, key, force=force, volumes=volumes)

    async def prune(self, filters: Filters) -> PruneReport:
        return await prune.prune(self._context, filters)

    async def changes(self, key: str) -> builtins.list[tuple[str, int]]:
        return await changes.changes(self._context, key)

    def export(self, key: str) -> AsyncGenerator[bytes, None]:
        return export.export(self._context, key)

    async def commit(
        self,
        key: str,
        *,
        repository: str,
        tag: str,
        author: str,
        comment: str,
        changes: Sequence[str],  # the API's name of it
        config: ContainerConfig | None,
        pause: bool,
    ) -> str:
        return await commit.commit(
            self._context,
            key,
            repository=repository,
            tag=tag,
            author=author,
            comment=comment,
            changes=changes,
            config=config,
            pause=pause,
        )

    # --- what they do ---------------------------------------------------------------------------------------------

    async def start(self, key: str) -> None:
        await start.start(self._context, key)

    async def stop(self, key: str, *, signal_name: str, timeout: int | None) -> None:
        await stop.stop(self._context, key, signal_name=signal_name, timeout=timeout)

    async def restart(self, key: str, *, signal_name: str, timeout: int | None) -> None:
        await restart.restart(self._context, key, signal_name=signal_name, timeout=timeout)

    async def kill(self, key: str, *, signal_name: str) -> None:
        await stop.kill(self._context, key, signal_name=signal_name)

    async def pause(self, key: str) -> None:
        await stop.pause(self._context, key)

    async def unpause(self, key: str) -> None:
        await stop.unpause(self._context, key)

    def wait(self, key: str, condition: str) -> Awaitable[int]:
        return wait.wait(self._context, key, condition)

    async def top(self, key: str, ps_args: str) -> TopResponse:
        return await top.top(self._context, key, ps_args)

    # --- their streams --------------------------------------------------------------------------------------------

    def has_terminal(self, key: str) -> bool:
        return self._context.registry.find(key).record.config.tty

    def logs(
        self, key: str, *, since: int, until: int, tail: int, follow: bool, stdout: bool, stderr: bool
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        return logs.open_logs(
            self._context, key, since=since, until=until, tail=tail, follow=follow, stdout=stdout, stderr=stderr
        )

    async def attach(self, key: str, *, stdin: bool, stdout: bool, stderr: bool) -> Session:
        return await attach.attach(self._context, key, stdin=stdin, stdout=stdout, stderr=stderr)

    async def resize(self, key: str, height: int, width: int) -> None:
        await attach.resize(self._context, key, height, width)

    def stats(self, key: str, *, stream: bool, one_shot: bool) -> AsyncGenerator[StatsResponse, None]:
        return stats.stats(self._context, key, stream=stream, one_shot=one_shot)

    # --- for other nouns ------------------------------------------------------------------------------------------

    def counts(self) -> ContainerCounts:
        """How many there are in each state."""
        states = [entry.record.state.status for entry in self._context.registry]
        running = sum(status in (Status.RUNNING, Status.RESTARTING) for status in states)
        paused = states.count(Status.PAUSED)
        return ContainerCounts(running=running, paused=paused, stopped=len(states) - running - paused)

    async def disk_usage(self) -> builtins.list[ContainerSummary]:
        """Every container with its sizes."""
        return await self.list(everything=True, limit=0, size=True, filters=Filters())
