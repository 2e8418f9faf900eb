"""Container events, with the attributes that Docker gives them."""

from __future__ import annotations

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord


def emit(context: Context, record: ContainerRecord, action: str, **extra: str) -> None:
    """Tell that ``action`` happened to the container; labels come along, ``extra`` wins over them."""
    attributes = {**(record.config.labels or {}), "image": record.config.image, "name": record.name, **extra}
    context.events.emit("container", action, record.id, attributes)
