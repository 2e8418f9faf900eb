"""How overlayfs keeps a layer: what it reads as "gone" and "hides what lies below". Imports ctypes.

name of a layer below is gone         a character device 0/0 of that name
a directory hides the one below       its attribute trusted.overlay.opaque = "y" (user.overlay.opaque in a user
                                      namespace, user.fuseoverlayfs.opaque by fuse-overlayfs)
"""

from __future__ import annotations

import contextlib
import os
import stat

from wherry.linux.namespaces import IN_USER_NAMESPACE

OPAQUE_XATTR = "user.overlay.opaque" if IN_USER_NAMESPACE else "trusted.overlay.opaque"
FUSE_OPAQUE_XATTR = "user.fuseoverlayfs.opaque"
CAPABILITY_XATTR = "security.capability"
_RESERVED_XATTRS = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")


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


def is_reserved(xattr: str) -> bool:
    """Whether an attribute is a note of the file system's own; in a layer it could redirect a directory anywhere."""
    return xattr.startswith(_RESERVED_XATTRS)


def kept_xattrs(fd: int) -> dict[str, bytes]:
    """The attributes that a layer keeps, as Docker does: file capabilities, and what users set. Raises OSError."""
    kept: dict[str, bytes] = {}
    for name in os.listxattr(fd):
        if name.startswith((CAPABILITY_XATTR, "user.")) and not is_reserved(name):
            with contextlib.suppress(OSError):  # it was taken away meanwhile
                kept[name] = os.getxattr(fd, name)
    return kept


def _is_set(directory: int, name: str) -> bool:
    try:
        return os.getxattr(directory, name) == b"y"
    except OSError:
        return False
