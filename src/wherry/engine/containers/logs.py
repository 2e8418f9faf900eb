"""``docker logs``: what the container has printed, and what it goes on to print."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from wherry.engine.containers.context import Context
from wherry.engine.containers.registry import Entry
from wherry.logs import json_file
from wherry.logs.line import LogLine
from wherry.logs.options import check_readable


def open_logs(
    context: Context,
    key: str,
    *,
    since: int = 0,
    until: int = 0,
    tail: int = -1,
    follow: bool = False,
    stdout: bool = True,
    stderr: bool = True,
) -> AsyncGenerator[list[LogLine], None]:
    """The container's lines; ``since`` and ``until`` in ns. Raises NotFound, and NotBuilt for a log nobody keeps."""
    entry = context.registry.find(key)
    check_readable(entry.record.host_config.log_config.type)
    return _lines(context, entry, since=since, until=until, tail=tail, follow=follow, stdout=stdout, stderr=stderr)


async def _lines(
    context: Context,
    entry: Entry,
    *,
    since: int,
    until: int,
    tail: int,
    follow: bool,
    stdout: bool,
    stderr: bool,
) -> AsyncGenerator[list[LogLine], None]:
    """Following ends with the container's end, not before all that was written by then has been read."""
    ended = asyncio.Event()
    watcher = asyncio.create_task(_set_when_ended(entry, ended))
    lines = json_file.read_batches(
        context.settings.log_path(entry.id),
        since=since,
        until=until,
        tail=tail,
        follow=follow and entry.record.state.alive,
        stdout=stdout,
        stderr=stderr,
        ended=ended,
    )
    try:
        async with aclosing(lines):
            async for batch in lines:
                yield batch
    except FileNotFoundError:
        return
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _set_when_ended(entry: Entry, ended: asyncio.Event) -> None:
    if entry.record.state.alive:
        await asyncio.shield(entry.exited)
    ended.set()
