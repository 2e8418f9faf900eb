"""How a layer says that something below it is gone: as names in a tar (image-spec, layer.md).

in the tar               on disk (``linux.overlay_form``)
dir/.wh.name             a whiteout called dir/name
dir/.wh..wh..opq         dir is opaque
"""

from __future__ import annotations

PREFIX = b".wh."
META_PREFIX = b".wh..wh."
OPAQUE = b".wh..wh..opq"
