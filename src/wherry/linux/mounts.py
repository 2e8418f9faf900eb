"""Mounts: mount(2), the descriptor based calls, and the words that /etc/fstab and the OCI use. Imports ctypes, os.

Targets are descriptors (O_PATH), never strings that are looked up a second time: ``mount_at`` goes through
/proc/self/fd, ``Detached`` trees through move_mount(2).
"""

from __future__ import annotations

import ctypes
import os

from wherry.linux.syscalls import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    SYS_MOUNT_SETATTR,
    SYS_MOVE_MOUNT,
    SYS_OPEN_TREE,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_ulong,
    c_void_p,
    check,
    encode,
    function,
    system_call,
)

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_I_VERSION = 0x800000
MS_STRICTATIME = 0x1000000
MS_LAZYTIME = 0x2000000

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_ATIME = 0x70
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

# Magic numbers of statfs(2).
CGROUP_MAGIC = 0x27E0EB
CGROUP2_MAGIC = 0x63677270
DEVPTS_MAGIC = 0x1CD1
PROC_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572

PROPAGATION = {"private": MS_PRIVATE, "shared": MS_SHARED, "slave": MS_SLAVE, "unbindable": MS_UNBINDABLE}
"""With an ``r`` in front: the whole tree."""

# What one option word sets and clears, as mount(2) flags ...
SET = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "sync": MS_SYNCHRONOUS,
    "dirsync": MS_DIRSYNC,
    "iversion": MS_I_VERSION,
    "mand": MS_MANDLOCK,
    "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME,
    "relatime": MS_RELATIME,
    "strictatime": MS_STRICTATIME,
    "lazytime": MS_LAZYTIME,
    "nosymfollow": MS_NOSYMFOLLOW,
    "silent": MS_SILENT,
    "remount": MS_REMOUNT,
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
}
CLEAR = {
    "rw": MS_RDONLY,
    "suid": MS_NOSUID,
    "dev": MS_NODEV,
    "exec": MS_NOEXEC,
    "async": MS_SYNCHRONOUS,
    "noiversion": MS_I_VERSION,
    "nomand": MS_MANDLOCK,
    "atime": MS_NOATIME,
    "diratime": MS_NODIRATIME,
    "norelatime": MS_RELATIME,
    "nostrictatime": MS_STRICTATIME,
    "nolazytime": MS_LAZYTIME,
    "symfollow": MS_NOSYMFOLLOW,
    "loud": MS_SILENT,
}
# ... and as mount_setattr(2) attributes: (set, clear).
ATTRIBUTES = {
    "ro": (MOUNT_ATTR_RDONLY, 0),
    "rw": (0, MOUNT_ATTR_RDONLY),
    "nosuid": (MOUNT_ATTR_NOSUID, 0),
    "suid": (0, MOUNT_ATTR_NOSUID),
    "nodev": (MOUNT_ATTR_NODEV, 0),
    "dev": (0, MOUNT_ATTR_NODEV),
    "noexec": (MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, MOUNT_ATTR_NOEXEC),
    "nodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    # The access time modes are one field of two bits: setting one clears the others, and the kernel refuses to clear
    # one alone. What undoes a mode leaves the kernel's own, relatime; what undoes that leaves it too, as mount(8) does.
    "relatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR_ATIME),
    "norelatime": (0, 0),
    "noatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR_ATIME),
    "atime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR_ATIME),
    "strictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_ATIME),
    "nostrictatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR_ATIME),
}


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _Statfs(ctypes.Structure):
    _fields_ = (("f_type", ctypes.c_long), ("rest", ctypes.c_byte * 256))


_mount = function("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = function("umount2", c_char_p, c_int)
_pivot_root = function("pivot_root", c_char_p, c_char_p)
_fstatfs = function("fstatfs", c_int, c_void_p)
_open_tree = system_call(SYS_OPEN_TREE, c_int, c_char_p, c_uint)
_move_mount = system_call(SYS_MOVE_MOUNT, c_int, c_char_p, c_int, c_char_p, c_uint)
_mount_setattr = system_call(SYS_MOUNT_SETATTR, c_int, c_char_p, c_uint, c_void_p, c_size_t)


def mount(source: str | None, target: str, fstype: str | None, flags: int, data: str | None = None) -> None:
    """The mount system call."""
    words = [encode(text) if text is not None else None for text in (source, target, fstype, data)]
    check(_mount(words[0], words[1], words[2], flags, words[3]), "mount", f"{fstype or source or 'flags'} on {target}")


def mount_at(source: str | None, target: int, fstype: str | None, flags: int, data: str | None = None) -> None:
    """``mount`` on the very file that the descriptor ``target`` is open on."""
    mount(source, f"/proc/self/fd/{target}", fstype, flags, data)


def unmount(target: str, flags: int = 0) -> None:
    """The umount2 system call."""
    check(_umount2(encode(target), flags), "umount2", target)


def open_tree(path: str, *, directory: int = AT_FDCWD, clone: bool = True, recursive: bool = False) -> int:
    """A descriptor on a detached copy of the mount at ``path``, or of the file ``directory`` if that is empty."""
    flags = OPEN_TREE_CLOEXEC | (OPEN_TREE_CLONE if clone else 0)
    flags |= (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    return check(_open_tree(directory, encode(path), flags), "open_tree", path)


def move_mount(tree: int, target: int) -> None:
    """Attach a detached mount to the file that ``target`` is open on."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    check(_move_mount(tree, b"", target, b"", flags), "move_mount")


def mount_setattr(
    tree: int, *, attributes: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False
) -> None:
    """Change the mount that ``tree`` is open on (Linux 5.12)."""
    attr = _MountAttr(attributes, clear, propagation, 0)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    check(_mount_setattr(tree, b"", flags, ctypes.addressof(attr), ctypes.sizeof(attr)), "mount_setattr")


def idmap(tree: int, user_namespace: int, *, recursive: bool = False) -> None:
    """Show the files of the detached mount ``tree`` with the ids that ``user_namespace`` maps them to (Linux 5.12).

    EINVAL: the file system cannot be mapped, or it is mapped by that very namespace already.
    """
    attr = _MountAttr(MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    check(_mount_setattr(tree, b"", flags, ctypes.addressof(attr), ctypes.sizeof(attr)), "mount_setattr", "idmap")


def pivot_root(new_root: str, put_old: str) -> None:
    """The pivot_root system call."""
    check(_pivot_root(encode(new_root), encode(put_old)), "pivot_root", new_root)


def magic(fd: int) -> int:
    """The kind of the file system that ``fd`` lives on, by fstatfs(2)."""
    buffer = _Statfs()
    check(_fstatfs(fd, ctypes.addressof(buffer)), "fstatfs", fd)
    return int(buffer.f_type) & 0xFFFFFFFF
