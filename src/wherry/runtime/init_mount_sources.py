"""What a container's mounts take from the host: detached trees, dressed as config.json wants them.

Taken in the host's mount and user namespace, before anything is cut off: ``shared`` and ``slave`` need something to be
shared with, an id-mapped mount needs rights over its file system, and once inside a user namespace we may not even see
the source. They are put down later, by ``init_root``.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.linux import filesystem, mounts
from wherry.linux.mounts import MS_PRIVATE, MS_REC, MS_SLAVE
from wherry.runtime.init_errors import Step, from_errno
from wherry.runtime.init_mount_options import filesystem_options
from wherry.runtime.init_mounts import FILESYSTEM, Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from wherry.runtime.init_mounts import Mappings

    NamespaceOf = Callable[[Mappings | None], int]

# File systems that show a namespace: its user namespace alone may mount them. Who has none of his own gets the host's.
_BORROWED = {"sysfs": ("network", "/sys"), "mqueue": ("ipc", "/dev/mqueue"), "proc": ("pid", "/proc")}

_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK}


def clone(mount: Mount, default_propagation: int, userns_fd_of: NamespaceOf) -> int:
    """The source of a bind as a detached mount with all that the entry asks for. Raises StartError."""
    tree = _open(mount)
    if mount.idmap:
        _map(mount, tree, userns_fd_of)
    with Step(mount.title):
        dress(tree, mount)
        # A clone of a shared mount is its peer.
        for propagation in mount.propagation or ([default_propagation] if default_propagation else []):
            mounts.mount_setattr(tree, propagation=propagation & ~MS_REC, recursive=bool(propagation & MS_REC))
    return tree


def create_mapped(mount: Mount, userns_fd_of: NamespaceOf) -> int:
    """A new file system that is id-mapped; only its own user namespace may do that, so it is the host's."""
    with Step(mount.title):
        tree = filesystem.create(mount.fstype, filesystem_options(mount), mount.attributes[0])
    _map(mount, tree, userns_fd_of)
    return tree


def dress(tree: int, mount: Mount) -> None:
    """Give ``tree`` the entry's attributes. Raises OSError: EPERM for what a user namespace may not clear."""
    for recursive, (attributes, clear) in ((True, mount.recursive_attributes), (False, mount.attributes)):
        if attributes or clear:
            mounts.mount_setattr(tree, attributes=attributes, clear=clear, recursive=recursive)


def borrow(mount: Mount, own: frozenset[str]) -> int:
    """The host's mount of a file system whose namespace is not the container's own; -1 where there is none.

    ``own`` are the types of its new namespaces.
    """
    namespace, path = _BORROWED.get(mount.fstype, ("", ""))
    if mount.kind != FILESYSTEM or not namespace or namespace in own:
        return -1
    for recursive in (False, True):  # what is mounted below may not be uncovered from a user namespace: EINVAL
        try:
            tree = mounts.open_tree(path, recursive=recursive)
        except FileNotFoundError:
            return -1
        except OSError as error:
            if error.errno != errno.EINVAL:
                return -1
            continue
        mounts.mount_setattr(tree, propagation=MS_SLAVE, recursive=True)
        if recursive:
            attributes, clear = mount.attributes
            mounts.mount_setattr(tree, attributes=attributes, clear=clear, recursive=True)
        return tree
    return -1


def host_device(device: Mapping[str, Any]) -> int:
    """The host's node of ``device`` (an entry of ``linux.devices``), found by its numbers, as a detached mount.

    Raises OSError: ENODEV when the host has none.
    """
    kind = _KINDS[device["type"]]
    number = os.makedev(device.get("major", 0), device.get("minor", 0))
    for path in (device["path"], _registered(kind, number)):
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            found = os.fstat(fd)
            if stat.S_IFMT(found.st_mode) == kind and found.st_rdev == number:
                tree = mounts.open_tree("", directory=fd)
                mounts.mount_setattr(tree, propagation=MS_PRIVATE)
                return tree
        finally:
            os.close(fd)
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def default_propagation(root: str) -> int:
    """What a bind that asks for nothing gets, by ``linux.rootfsPropagation``; 0 leaves it its source's peer."""
    word = root.removeprefix("r")
    if word == "shared":
        return 0
    return MS_REC | (MS_PRIVATE if word in ("private", "unbindable") else MS_SLAVE)


def _open(mount: Mount) -> int:
    try:
        return mounts.open_tree(mount.source, recursive=bool(mount.flags & MS_REC))
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)
        what = "stat" if missing or not mount.source else "open_tree"
        raise from_errno(f"{mount.title}: {what} {mount.source}", error.errno) from error


def _map(mount: Mount, tree: int, userns_fd_of: NamespaceOf) -> None:
    """Recursively only if both the mount and its mapping are."""
    namespace = userns_fd_of(mount.mappings)
    try:
        mounts.idmap(tree, namespace, recursive=mount.idmap == "ridmap")
    except OSError as error:
        failed = from_errno(
            f"{mount.title}: failed to set MOUNT_ATTR_IDMAP on {mount.source or mount.fstype}", error.errno
        )
        if error.errno == errno.EINVAL:
            hint = "maybe the filesystem used doesn't support idmap mounts on this kernel?"
            raise type(failed)(f"{failed} ({hint})", code=failed.code) from error
        raise failed from error


def _registered(kind: int, number: int) -> str:
    """Where udev or devtmpfs has put the device, by its numbers."""
    where = "block" if kind == stat.S_IFBLK else "char"
    try:
        fd = os.open(f"/sys/dev/{where}/{os.major(number)}:{os.minor(number)}/uevent", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        lines = os.read(fd, 4096).split(b"\n")
    finally:
        os.close(fd)
    names = [line.removeprefix(b"DEVNAME=") for line in lines if line.startswith(b"DEVNAME=")]
    return f"/dev/{names[0].decode('utf-8', 'surrogateescape')}" if names else ""
