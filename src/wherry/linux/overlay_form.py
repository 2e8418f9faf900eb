"""How overlayfs keeps a layer: what it reads as "gone" and "hides what lies below". Imports os, stat.

name of a layer below is gone         a character device 0/0 of that name
a directory hides the one below       its attribute trusted.overlay.opaque = "y" (user.overlay.opaque in a user
                                      namespace, user.fuseoverlayfs.opaque by fuse-overlayfs)
"""

from __future__ import annotations

import os
import stat

from wherry.linux.namespaces import IN_USER_NAMESPACE

OPAQUE_XATTR = "user.overlay.opaque" if IN_USER_NAMESPACE else "trusted.overlay.opaque"
FUSE_OPAQUE_XATTR = "user.fuseoverlayfs.opaque"
RESERVED_XATTRS = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.")
"""Notes of the file system itself; a layer that brings them could redirect a directory anywhere."""


def make_whiteout(directory: int, name: bytes | str) -> None:
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
    return any(_is_set(directory, name) for name in (OPAQUE_XATTR, FUSE_OPAQUE_XATTR))


def _is_set(directory: int, name: str) -> bool:
    try:
        return os.getxattr(directory, name) == b"y"
    except OSError:
        return False
