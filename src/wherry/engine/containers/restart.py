"""``docker restart``: stop it if it runs, then start it."""

from __future__ import annotations

from wherry.engine.containers import notify
from wherry.engine.containers import start as starting
from wherry.engine.containers import stop as stopping
from wherry.engine.containers.context import Context
from wherry.engine.containers.signals import parse_signal
from wherry.engine.containers.state import Status


async def restart(context: Context, key: str, *, signal_name: str, timeout: int | None) -> None:
    """Stop it if it runs, then start it. Raises NotFound, InvalidArgument, and what a start raises."""
    entry = context.registry.find(key)
    number = parse_signal(signal_name) if signal_name else stopping.stop_signal(entry.record)
    if entry.record.state.alive or entry.record.state.status is Status.RESTARTING:
        kept, entry.keep_when_ended = entry.keep_when_ended, True
        try:
            await stopping.stop_entry(context, entry, number, timeout)
        finally:
            entry.keep_when_ended = kept
    await starting.start(context, entry.id)
    notify.emit(context, entry.record, "restart")
