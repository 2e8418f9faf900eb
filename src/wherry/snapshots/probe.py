"""Whether overlayfs works where the snapshots are: asked of the kernel, by mounting one."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from wherry.lib.errors import Unavailable
from wherry.linux.mounts import MNT_DETACH, mount, unmount
from wherry.linux.namespaces import IN_USER_NAMESPACE
from wherry.linux.trees import remove_tree

PROBE = "probe"
ROOM = 128 * 1024
"""Bytes that trying takes at most: a few directories and a file."""

logger = logging.getLogger(__name__)


def probe_overlay(root: Path) -> None:
    """Mount an overlay below ``root`` and put a file into it. Raises Unavailable with the reason and what to do.

    It fails on an overlay (a container's own root, say), on file systems that cannot be an upper layer (NFS, FAT) and
    where mounting is forbidden.
    """
    if _is_full(root):
        # Nothing can be mounted to try it, and a daemon that does not start cannot remove anything either.
        logger.warning("no space left below %s: overlayfs is taken to work there", root)
        return
    place = root / PROBE
    with contextlib.suppress(OSError):
        unmount(str(place / "merged"), MNT_DETACH)  # of a daemon killed in the middle of this
    remove_tree(str(place))
    directories = {name: place / name for name in ("lower", "upper", "work", "merged")}
    for directory in directories.values():
        directory.mkdir(parents=True)
    try:
        data = ",".join(f"{name}dir={_escaped(directories[name])}" for name in ("lower", "upper", "work"))
        mount("overlay", str(directories["merged"]), "overlay", 0, f"userxattr,{data}" if IN_USER_NAMESPACE else data)
        try:
            os.close(os.open(directories["merged"] / "file", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC))
        finally:
            unmount(str(directories["merged"]), MNT_DETACH)
    except OSError as error:
        raise Unavailable(f"overlayfs does not work below {root}: {error}; put the data root on ext4 or xfs") from None
    finally:
        remove_tree(str(place))


def _is_full(root: Path) -> bool:
    room = os.statvfs(root)
    return room.f_bavail * room.f_frsize < ROOM or room.f_favail == 0 < room.f_files


def _escaped(path: Path) -> str:
    """A path as an overlay option takes it."""
    return "".join(f"\\{char}" if char in "\\,:" else char for char in str(path))
