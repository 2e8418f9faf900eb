"""Pseudo-terminals of a given devpts instance. Imports ctypes, fcntl, os, struct.

CVE-2025-52565: the replica is opened through the master (TIOCGPTPEER), never by its name in a directory that the
container's image can shape.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from wherry.linux import paths
from wherry.linux.mounts import DEVPTS_MAGIC, magic
from wherry.linux.syscalls import failure

_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_TIOCSWINSZ = 0x5414
_TIOCSCTTY = 0x540E
_PTMX = os.makedev(5, 2)


def open_pair(root: int) -> tuple[int, int]:
    """Master and replica, both close-on-exec, of the devpts at /dev/pts below the directory ``root``.

    What is there is looked at before it is opened, and again afterwards. Raises OSError if it is no devpts.
    """
    os.close(_checked(paths.open_in(root, "/dev/pts/ptmx", links=False)))
    master = _checked(paths.open_in(root, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY, links=False))
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        replica = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        os.close(master)
        raise
    return master, replica


def _checked(fd: int) -> int:
    if os.fstat(fd).st_rdev == _PTMX and magic(fd) == DEVPTS_MAGIC:
        return fd
    os.close(fd)
    raise failure(errno.ENODEV, "not the ptmx of a devpts:", "/dev/pts/ptmx")


def resize(terminal: int, height: int, width: int) -> None:
    """TIOCSWINSZ: rows and columns; the foreground group gets SIGWINCH."""
    fcntl.ioctl(terminal, _TIOCSWINSZ, struct.pack("HHHH", height & 0xFFFF, width & 0xFFFF, 0, 0))


def make_controlling(replica: int) -> None:
    """TIOCSCTTY: the calling session leader's controlling terminal."""
    fcntl.ioctl(replica, _TIOCSCTTY, 0)
