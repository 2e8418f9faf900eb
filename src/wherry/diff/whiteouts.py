"""How a layer says that something below it is gone: as names in a tar (image-spec, layer.md) and as overlayfs reads it.

in the tar               on disk
dir/.wh.name             dir/name, a character device 0/0
dir/.wh..wh..opq         trusted.overlay.opaque = "y" on dir (user.overlay.opaque in a user namespace)
"""

from __future__ import annotations

import os
import stat

from wherry.linux.namespaces import IN_USER_NAMESPACE

PREFIX = b".wh."
META_PREFIX = b".wh..wh."
OPAQUE = b".wh..wh..opq"
OPAQUE_XATTR = "user.overlay.opaque" if IN_USER_NAMESPACE else "trusted.overlay.opaque"
RESERVED_XATTRS = (b"trusted.overlay.", b"user.overlay.")
"""overlayfs' own; a layer that brings them could redirect a directory anywhere."""


def make_whiteout(directory: int, name: bytes) -> None:
    """Hide ``name`` of the layers below. Raises FileExistsError."""
    os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory)


def is_whiteout(found: os.stat_result) -> bool:
    """Whether this is a whiteout."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def make_opaque(directory: int) -> None:
    """Hide all that the layers below have in ``directory``."""
    os.setxattr(directory, OPAQUE_XATTR, b"y")


def is_opaque(directory: int) -> bool:
    """Whether ``directory`` hides what lies below it."""
    try:
        return os.getxattr(directory, OPAQUE_XATTR) == b"y"
    except OSError:
        return False
