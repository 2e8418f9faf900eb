"""``docker stats``: one answer, or one every second for as long as somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from wherry.engine.containers.context import Context
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.samples import Sample, build_response, machine_memory, take_sample
from wherry.engine.containers.stop import cgroup
from wherry.linux.cgroups import CgroupError
from wherry.runtime.modes import is_host
from wherry.wire.stats import StatsResponse

INTERVAL = 1.0
"""Seconds between two samples."""


def stats(context: Context, key: str, *, stream: bool, one_shot: bool) -> AsyncGenerator[StatsResponse, None]:
    """The container's use of the machine; zeros while it does not run. Raises NotFound at once.

    A share of CPU needs two samples: without ``stream`` the answer comes a second later, unless ``one_shot`` says that
    one will do.
    """
    return _answers(context, context.registry.find(key), stream=stream, one_shot=one_shot)


async def _answers(
    context: Context, entry: Entry, *, stream: bool, one_shot: bool
) -> AsyncGenerator[StatsResponse, None]:
    memory = machine_memory()
    name = f"/{entry.name}"
    previous: Sample | None = None
    while entry.id in context.registry:
        sample = await _sample(context, entry)
        if sample is None:
            yield StatsResponse(name=name, id=entry.id)
        elif stream or one_shot or previous is not None:
            yield build_response(entry.id, name, sample, previous, machine_memory=memory)
        if not stream and (sample is None or one_shot or previous is not None):
            return
        previous = sample
        await asyncio.sleep(INTERVAL)


async def _sample(context: Context, entry: Entry) -> Sample | None:
    """None while the container does not run, and if it ends while we look."""
    record = entry.record
    if not record.state.alive:
        return None
    networked = not is_host(record.host_config.network_mode)
    try:
        return await asyncio.to_thread(
            take_sample, context.cgroups, cgroup(context, record), pid=record.state.pid, networked=networked
        )
    except CgroupError:
        return None
