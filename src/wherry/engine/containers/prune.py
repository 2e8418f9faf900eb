"""``docker container prune``: remove what does not run."""

from __future__ import annotations

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.remove import remove_ended
from wherry.engine.containers.state import Status
from wherry.lib.errors import Conflict
from wherry.lib.filters import Filters
from wherry.lib.timespan import labels_match, until_ns
from wherry.wire.container import PruneReport

FILTERS = ("label", "label!", "until")


async def prune(context: Context, filters: Filters) -> PruneReport:
    """Remove every container that has ended or never ran. Raises InvalidArgument for an unknown filter."""
    filters.check(FILTERS)
    until = until_ns(filters)
    removed, freed = [], 0
    for entry in sorted(context.registry, key=lambda entry: -entry.record.created_at):
        if not _prunable(entry.record, filters, until):
            continue
        size = await context.snapshots.usage(entry.id)
        try:
            await remove_ended(context, entry, volumes=False)
        except Conflict:
            continue  # started meanwhile
        removed.append(entry.id)
        freed += size
    context.events.emit("container", "prune", "", {"reclaimed": str(freed)})
    return PruneReport(containers_deleted=removed or None, space_reclaimed=freed)


def _prunable(record: ContainerRecord, filters: Filters, until: int | None) -> bool:
    return (
        record.state.status in (Status.CREATED, Status.EXITED, Status.DEAD)
        and labels_match(filters, record.config.labels or {})
        and (until is None or record.created_at < until)
    )
