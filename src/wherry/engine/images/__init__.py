"""Images, as the use cases see them: found, listed, inspected, tagged, removed, loaded, saved, imported.

images = Images(store, users, events)
record = images.resolve("busybox")        # ImageRecord: id, config, snapshot_key …
"""

from wherry.engine.images.model import ContainerUsers, EventSink, ImageRecord, ImageUsage, ImageUser
from wherry.engine.images.service import Images

__all__ = ["ContainerUsers", "EventSink", "ImageRecord", "ImageUsage", "ImageUser", "Images"]
