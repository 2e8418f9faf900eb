"""Going on from an interpreter that no container can write to (CVE-2019-5736).

A container's program can have the kernel execute /proc/self/exe, which is the file of whatever process has executed it,
and wait until it may be written to. So what forks a container's init does not run from the host's own file: it executes
itself again from a read-only mount of it that is attached nowhere, or, without the rights for that, from a sealed copy
in memory. See docs/decisions/008.

Import budget: nothing but ``os``; ``_ctypes`` without ``ctypes``, which alone takes longer than all of this.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_SYS_OPEN_TREE = 428
_SYS_MOUNT_SETATTR = 442
_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_MOUNT_ATTR_RDONLY = 1
_ATTRIBUTES_SIZE = 32
_F_ADD_SEALS = 1033
_ALL_SEALS = 0xF


def is_sealed() -> bool:
    """Whether we run from a read-only file system as it is."""
    return bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


def become(words: Sequence[str]) -> NoReturn:
    """Run the command line ``words`` from there: same process, same descriptors, same environment."""
    python = os.path.realpath(sys.executable)
    fd = _read_only_mount(python)
    if fd < 0:
        fd = _sealed_copy(python)
    entry = os.path.join(os.path.dirname(__file__), "entry.py")
    # Isolated, without site and the environment's say: what is imported is the standard library and ourselves.
    os.execve(f"/proc/self/fd/{fd}", [python, "-ISE", entry, *words], os.environ)  # noqa: S606


def _read_only_mount(python: str) -> int:
    """-1 when it cannot be had: no privilege, or a kernel before 5.12."""
    import _ctypes  # noqa: PLC0415  not in a shim or an init

    handle = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None is the program itself
    call = _ctypes.dlsym(handle, "syscall")
    path = os.fsencode(python)
    fd: int = _ctypes.call_function(call, (_SYS_OPEN_TREE, _AT_FDCWD, path, _OPEN_TREE_CLONE | os.O_CLOEXEC))
    if fd < 0:
        return -1
    attributes = _MOUNT_ATTR_RDONLY.to_bytes(8, sys.byteorder).ljust(_ATTRIBUTES_SIZE, b"\0")
    arguments = (_SYS_MOUNT_SETATTR, fd, b"", _AT_EMPTY_PATH, attributes, _ATTRIBUTES_SIZE)
    if _ctypes.call_function(call, arguments) < 0:
        os.close(fd)
        return -1
    return fd


def _sealed_copy(python: str) -> int:
    """A file in memory that nobody can change any more."""
    import fcntl  # noqa: PLC0415

    source = os.open(python, os.O_RDONLY | os.O_CLOEXEC)
    copy = os.memfd_create("wherry-oci", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    size, done = os.fstat(source).st_size, 0
    while done < size:
        done += os.sendfile(copy, source, None, size - done)
    os.close(source)
    fcntl.fcntl(copy, _F_ADD_SEALS, _ALL_SEALS)
    return copy
