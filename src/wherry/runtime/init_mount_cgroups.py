"""A container's /sys/fs/cgroup: its own groups and nothing else, alike on v1 and v2.

Bind mounts of the host's directories, not new mounts: they need no cgroup namespace, and show in one what a new mount
would show there.
"""

from __future__ import annotations

import os

from wherry.linux import filesystem, mounts
from wherry.linux.mounts import MOUNT_ATTR_RDONLY, MS_PRIVATE
from wherry.runtime.init_mount_target import open_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.linux.cgroups.base import Cgroups, Hierarchy
    from wherry.runtime.init_mounts import Mount


def mount_cgroups(root: int, mount: Mount, cgroups: Cgroups | None, path: str, *, own_namespace: bool) -> None:
    """Show the group ``path`` of every hierarchy at the mount's target. Raises OSError, StartError.

    Without ``own_namespace`` /proc/self/cgroup counts from the top, so on v2 the whole tree is shown, as by runc.
    """
    target = open_target(root, mount, directory=True).fd
    try:
        hierarchies = cgroups.hierarchies if cgroups is not None and path else []
        if not hierarchies:
            _mount_without(target, mount, own_namespace=own_namespace)
        elif len(hierarchies) == 1 and hierarchies[0].unified:
            _attach(hierarchies[0].at(path) if own_namespace else hierarchies[0].mountpoint, target, mount)
        else:
            _mount_each(target, mount, hierarchies, path)
    finally:
        os.close(target)


def _mount_each(target: int, mount: Mount, hierarchies: list[Hierarchy], path: str) -> None:
    """v1: a directory for each hierarchy in a tmpfs, and links for those that go by several names."""
    attributes = mount.attributes[0]
    top = filesystem.create("tmpfs", [("source", "tmpfs"), ("mode", "755")], attributes & ~MOUNT_ATTR_RDONLY)
    try:
        mounts.move_mount(top, target)
        _propagate(top, mount)
        for hierarchy in hierarchies:
            os.mkdir(hierarchy.name, 0o755, dir_fd=top)
            directory = os.open(hierarchy.name, os.O_PATH | os.O_CLOEXEC, dir_fd=top)
            try:
                _attach(hierarchy.at(path), directory, mount)
            finally:
                os.close(directory)
            for controller in hierarchy.controllers if len(hierarchy.controllers) > 1 else ():
                if controller != hierarchy.name:
                    os.symlink(hierarchy.name, controller, dir_fd=top)
        if attributes & MOUNT_ATTR_RDONLY:
            mounts.mount_setattr(top, attributes=MOUNT_ATTR_RDONLY)
    finally:
        os.close(top)


def _mount_without(target: int, mount: Mount, *, own_namespace: bool) -> None:
    """No group of its own: what a cgroup namespace shows of v2, else nothing; never our own group (CVE-2023-25809)."""
    if own_namespace:
        try:
            mounts.mount_at("cgroup2", target, "cgroup2", mount.flags)
        except OSError:
            pass  # not ours to mount: then nothing is shown
        else:
            return
    mounts.mount_at("tmpfs", target, "tmpfs", mount.flags | mounts.MS_RDONLY, "mode=755")


def _attach(source: str, target: int, mount: Mount) -> None:
    tree = mounts.open_tree(source)
    try:
        mounts.mount_setattr(tree, attributes=mount.attributes[0], clear=mount.attributes[1], propagation=MS_PRIVATE)
        mounts.move_mount(tree, target)
        _propagate(tree, mount)
    finally:
        os.close(tree)


def _propagate(tree: int, mount: Mount) -> None:
    for propagation in mount.propagation:
        mounts.mount_setattr(tree, propagation=propagation & ~mounts.MS_REC)
