"""``docker commit``: a container's changes as an image. It stands still while they are copied, and not longer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

import msgspec

from wherry.diff.compare import layer_of
from wherry.engine.containers import foreign, notify, stop
from wherry.engine.containers.changes import check_there
from wherry.engine.containers.context import Context
from wherry.engine.containers.merge import merge
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.state import Status
from wherry.engine.images.changes import apply_changes
from wherry.lib.errors import InvalidArgument, WherryError
from wherry.linux.cgroups import CgroupError
from wherry.oci.image import ImageConfig
from wherry.oci.reference import Reference, parse_reference
from wherry.transfer.committing import Child
from wherry.wire.container import ContainerConfig

_log = logging.getLogger(__name__)


async def commit(
    context: Context,
    key: str,
    *,
    repository: str,
    tag: str,
    author: str,
    comment: str,
    changes: Sequence[str],
    config: ContainerConfig | None,
    pause: bool,
) -> str:
    """The new image's id. Raises NotFound, Conflict, InvalidArgument, Internal."""
    names = _names(repository, tag)
    entry = context.registry.find(key)
    record = entry.record
    check_there(record, "commit")
    child = _child(record, config, changes, author=author, comment=comment)
    async with contextlib.AsyncExitStack() as stack:
        async with _still(context, entry, pause=pause), context.snapshots.changes(record.id) as directory:
            layer = await context.images.take_layer(lambda stopped: layer_of(directory, stopped))
        stack.push_async_callback(context.images.drop_layer, layer)
        image_id = await context.images.commit(record.image_id, layer, child, names)
    shown = names[0].familiar if names else ""
    notify.emit(context, entry.record, "commit", comment=comment, imageID=image_id, imageRef=shown)
    return image_id


def _names(repository: str, tag: str) -> tuple[Reference, ...]:
    if not repository:
        return ()
    name = parse_reference(repository)
    if name.digest:
        raise InvalidArgument("cannot import digest reference")
    return ((name.with_tag(tag) if tag else name).tagged(),)


def _child(
    record: ContainerRecord, config: ContainerConfig | None, changes: Sequence[str], *, author: str, comment: str
) -> Child:
    """The image's own configuration: the body's or the container's, changed, and filled from the container's."""
    # Triggers of the parent have fired when the parent was built on: only new ones are the child's.
    base = _members(config if config is not None else msgspec.structs.replace(record.config, on_build=None))
    try:
        changed = msgspec.convert(apply_changes(base, changes), ContainerConfig)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid change: {error}") from None
    return Child(
        container_id=record.id,
        config=_members(merge(changed, _defaults(record.config))),
        container_config=_members(record.config),
        command=" ".join(record.config.cmd or ()),
        author=author,
        comment=comment,
    )


def _defaults(config: ContainerConfig) -> ImageConfig:
    """What fills the gaps: the container's configuration takes the place of an image's."""
    return msgspec.convert(_members(msgspec.structs.replace(config, on_build=None)), ImageConfig)


def _members(config: ContainerConfig) -> dict[str, object]:
    """In Docker's JSON form; labels are never null there."""
    config = msgspec.structs.replace(config, labels=config.labels or {})
    return msgspec.json.decode(msgspec.json.encode(config), type=dict[str, object])


@contextlib.asynccontextmanager
async def _still(context: Context, entry: Entry, *, pause: bool) -> AsyncIterator[None]:
    """Freeze a running container for the length of the block. What freezes not is copied as it runs, as in dockerd."""
    held = pause and await _hold(context, entry)
    try:
        yield
    finally:
        if held:
            await asyncio.shield(_let_go(context, entry))


async def _hold(context: Context, entry: Entry) -> bool:
    """Freeze it. The mark is stored first, so that whatever comes after, the next daemon lets it run again."""
    async with entry.lock:
        if entry.record.state.status is not Status.RUNNING:
            return False
        await context.registry.update(entry, msgspec.structs.replace(entry.record, held=True))
        try:
            await foreign.freeze(context, entry.record, stop.cgroup(context, entry.record))
        except (CgroupError, WherryError) as error:
            _log.warning("container %s is committed as it runs: %s", entry.id, error)
            await context.registry.update(entry, msgspec.structs.replace(entry.record, held=False))
            return False
        paused = entry.record.with_state(entry.record.state.moved(Status.PAUSED))
        await context.registry.update(entry, paused)
    notify.emit(context, entry.record, "pause")
    return True


async def _let_go(context: Context, entry: Entry) -> None:
    """Let it run, unless somebody has done so meanwhile, or has ended it."""
    async with entry.lock:
        if entry.id not in context.registry:
            return
        if entry.record.state.status is Status.PAUSED:
            await stop.thaw(context, entry)
        await context.registry.update(entry, msgspec.structs.replace(entry.record, held=False))
