"""Mounting new file systems in a container, and changing mounts that are there already."""

from __future__ import annotations

import errno
import os
import stat

from wherry.linux import filesystem, mounts, paths
from wherry.linux.mounts import MS_BIND, MS_RDONLY, MS_REC
from wherry.linux.syscalls import encode
from wherry.runtime.init_errors import Step, from_errno
from wherry.runtime.init_mount_copy import copy_directory
from wherry.runtime.init_mount_options import filesystem_options, mount_data
from wherry.runtime.init_mount_sources import dress
from wherry.runtime.init_mount_target import open_target, place_of
from wherry.runtime.init_mounts import merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.runtime.init_errors import StartError
    from wherry.runtime.init_mount_target import Target
    from wherry.runtime.init_mounts import Mount


def make(root: int, mount: Mount, *, label: str = "", inside: bool = False, spare: int = -1) -> int:
    """Mount a new file system below ``root``; a descriptor of it if it is to become read-only last of all, else -1.

    ``inside`` a user namespace a group that is not mapped there is left out, and where the namespace may not mount the
    file system, ``spare`` (a detached tree, ours to close) is. Raises StartError, OSError.
    """
    place = open_target(root, mount, directory=True)
    target = place.fd
    further = _mode_of(target) if place.found and mount.fstype == "tmpfs" and not _has(mount, "mode") else []
    # What is to be filled yet is sealed at the end: the devices of /dev, mount points below a tmpfs.
    read_only = mount.flags & MS_RDONLY or mount.recursive_attributes[0] & mounts.MOUNT_ATTR_RDONLY
    late = bool(read_only) and (mount.fstype == "tmpfs" or mount.target == "/dev")
    data = mount_data(mount, further, label)
    try:
        if late or mount.propagation or mount.copy_up or any(mount.recursive_attributes):
            options = filesystem_options(mount, further, label, read_only=not late)
            if all(len(encode(value or "")) <= filesystem.VALUE_LIMIT for _, value in options):
                return _make_detached(target, mount, options, late=late)
            _make_and_find(root, place, mount, data)
        else:
            mounts.mount_at(mount.source, target, mount.fstype, mount.flags, data or None)
    except OSError as error:
        if error.errno == errno.EINVAL and inside and mount.fstype == "devpts" and _has(mount, "gid"):
            mount.data = [word for word in mount.data if not word.startswith("gid=")]
            return make(root, mount, label=label, inside=inside)
        if error.errno != errno.EPERM or spare < 0:
            raise _explained(mount, target, data, error) from error
        dress(spare, mount)
        mounts.move_mount(spare, target)
    finally:
        os.close(target)
        if spare >= 0:
            os.close(spare)
    return -1


def put_down(root: int, mount: Mount, tree: int, *, covers: bool = False) -> str:
    """Attach a detached ``tree``, dressed already, at the mount's target, and say where that is; it is closed.

    ``covers``: its top is new, and takes the mode of the directory that it covers, unless the entry gives one.
    """
    directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    place = open_target(root, mount, directory=directory, source=-1 if covers else tree)
    target = place.fd
    try:
        if covers and place.found and mount.fstype == "tmpfs" and not _has(mount, "mode"):
            _change_mode(tree, stat.S_IMODE(os.fstat(target).st_mode))
        mounts.move_mount(tree, target)
        # Attached to something shared it has become that too.
        _propagate(tree, mount)
    except OSError as error:
        if stat.S_ISDIR(os.fstat(target).st_mode) != directory:
            error.errno = errno.ENOTDIR  # as mount(2) says; move_mount(2) says EINVAL
        raise _explained(mount, target, "", error) from error
    finally:
        os.close(target)
        os.close(tree)
    return place.where


def change(root: int, mount: Mount) -> None:
    """``remount``: other options for what is mounted at the target. With ``bind`` only the mount's own."""
    target = open_target(root, mount, directory=True).fd
    try:
        if mount.flags & MS_BIND:
            dress(target, mount)
        else:
            mounts.mount_at(mount.source or None, target, mount.fstype, mount.flags, ",".join(mount.data) or None)
        _propagate(target, mount)
    except OSError as error:
        raise _explained(mount, target, ",".join(mount.data), error) from error
    finally:
        os.close(target)


def _make_and_find(root: int, place: Target, mount: Mount, data: str) -> None:
    """An option is too long for fsconfig(2) (an overlay's layers): by mount(2), and what it has mounted looked for."""
    mounts.mount_at(mount.source, place.fd, mount.fstype, mount.flags, data)
    tree = paths.open_in(root, place.where, links=False)
    try:
        if place_of(root, tree) != place.where:
            raise OSError(errno.EAGAIN, "moved while it was mounted on")
        dress(tree, mount)
        _propagate(tree, mount)
    finally:
        os.close(tree)


def _make_detached(target: int, mount: Mount, options: list[tuple[str, str | None]], *, late: bool) -> int:
    # Nothing is below it yet: what is asked for the whole tree is its own.
    attributes, _ = merge(mount.attributes, mount.recursive_attributes)
    if late:
        attributes &= ~mounts.MOUNT_ATTR_RDONLY
    tree = filesystem.create(mount.fstype, options, attributes)
    keep = False
    try:
        if mount.copy_up:
            with Step(f"{mount.title}: tmpcopyup: failed to copy {mount.destination}"):
                copy_directory(target, tree, mode=not _has(mount, "mode"))
        mounts.move_mount(tree, target)
        _propagate(tree, mount)
        keep = late
    finally:
        if not keep:
            os.close(tree)
    return tree if keep else -1


def _propagate(tree: int, mount: Mount) -> None:
    for propagation in mount.propagation:
        mounts.mount_setattr(tree, propagation=propagation & ~MS_REC, recursive=bool(propagation & MS_REC))


def _has(mount: Mount, key: str) -> bool:
    return any(word.startswith(f"{key}=") for word in mount.data)


def _mode_of(directory: int) -> list[str]:
    """A tmpfs has the mode of the directory that it covers, and the kernel's default (1777) where there was none."""
    return [f"mode={stat.S_IMODE(os.fstat(directory).st_mode):04o}"]


def _change_mode(tree: int, mode: int) -> None:
    try:
        os.chmod(f"/proc/self/fd/{tree}", mode)
    except OSError as error:
        # Its owner is nobody here, or it is read-only already: the default must do.
        if error.errno not in (errno.EPERM, errno.EOVERFLOW, errno.EROFS):
            raise


def _explained(mount: Mount, target: int, data: str, error: OSError) -> StartError:
    """In runc's words."""
    what = f"mount {mount.source}:{mount.destination} (via /proc/self/fd/{target})"
    what += f", flags: {mount.flags:#x}" if mount.flags else ""
    what += f", data: {data}" if data else ""
    return from_errno(f"{mount.title}: {what}", error.errno)
