"""``docker wait``: for the next exit, for not running, or for the removal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from wherry.engine.containers.context import Context
from wherry.engine.containers.state import Status
from wherry.lib.errors import InvalidArgument

CONDITIONS = ("", "not-running", "next-exit", "removed")


def wait(context: Context, key: str, condition: str) -> Awaitable[int]:
    """Register now for the exit code that comes later. Raises NotFound, InvalidArgument at once."""
    entry = context.registry.find(key)
    if condition not in CONDITIONS:
        raise InvalidArgument(f'invalid condition: "{condition}"')
    if condition == "removed":
        return asyncio.shield(entry.removed)
    state = entry.record.state
    if condition != "next-exit" and not state.alive and state.status is not Status.RESTARTING:
        return _already(state.exit_code)
    return asyncio.shield(entry.exited)


async def _already(code: int) -> int:
    return code
