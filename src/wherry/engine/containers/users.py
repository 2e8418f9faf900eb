"""Which containers stand on an image: what the images ask before one is removed."""

from __future__ import annotations

from wherry.engine.containers.registry import Registry
from wherry.engine.images import ImageUser


class ImageUsers:
    """Answers out of memory; see ``engine.images.ContainerUsers``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def users_of(self, image_id: str) -> list[ImageUser]:
        """The containers made of this image, whatever their state."""
        return [
            ImageUser(container_id=entry.id, running=entry.record.state.alive)
            for entry in self._registry
            if entry.record.image_id == image_id
        ]
