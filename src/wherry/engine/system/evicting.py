"""What the disk budget sees of images and containers, on the daemon's own objects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from wherry.engine.containers.context import Context
from wherry.engine.images.catalog import names_by_image
from wherry.engine.system.budget import Candidate
from wherry.lib.errors import Conflict
from wherry.state import content as content_state
from wherry.transfer.store import ImageStore
from wherry.wire.image import DeleteItem


class Remover(Protocol):
    """Removes images, with all that is told about it."""

    async def remove(self, name: str, *, force: bool = False, prune: bool = True) -> list[DeleteItem]:
        """By id, forced: with all its names. Raises NotFound, Conflict."""


class EvictableImages:
    """See ``budget.Images``."""

    def __init__(self, store: ImageStore, remover: Remover, context: Context) -> None:
        self._store = store
        self._remover = remover
        self._registry = context.registry

    def records(self) -> list[Candidate]:
        """Every image."""
        names = names_by_image(self._store.images)
        return [Candidate(document=one, references=tuple(names.get(one.id, ()))) for one in self._store.images.all()]

    def in_use(self, image_id: str) -> bool:
        """Whether a container is made of it, or an image built on it; all are while a container is being made."""
        made = {entry.id for entry in self._registry}
        if self._registry.known() != made:
            return True
        used = any(entry.record.image_id == image_id for entry in self._registry)
        return used or bool(self._store.images.children(image_id))

    async def evict(self, image_id: str) -> None:
        """Remove it with all its names. Raises Conflict, NotFound."""
        if self.in_use(image_id):
            raise Conflict(f"image {image_id} is in use")
        await self._remover.remove(image_id, force=True, prune=False)

    def bytes_held(self) -> int:
        """What layers and blobs take together."""
        layers = sum(row.size for row in self._store.snapshots.rows())
        return layers + sum(content_state.sizes(self._store.database).values())


class ContainerLogs:
    """See ``budget.Logs``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def directories(self, *, stopped: bool) -> Iterable[Path]:
        """Those of all containers, or of stopped ones only."""
        return [
            self._context.settings.directory(entry.id)
            for entry in self._context.registry
            if not (stopped and entry.busy)
        ]


def image_of(context: Context, container_id: str) -> str | None:
    """The image that a container was made of."""
    entry = context.registry.get(container_id)
    return entry.record.image_id if entry is not None else None
