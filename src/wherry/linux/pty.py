"""Pseudo-terminals of a given devpts instance. Imports fcntl, os, struct.

CVE-2025-52565: the replica is opened through the master (TIOCGPTPEER), never by its name in a directory that the
container's image can shape.
"""

from __future__ import annotations

import fcntl
import os
import struct

from wherry.linux.mounts import DEVPTS_MAGIC, magic

_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_TIOCSWINSZ = 0x5414
_TIOCSCTTY = 0x540E
_PTMX = os.makedev(5, 2)


def open_pair(ptmx: int) -> tuple[int, int]:
    """Master and replica, both close-on-exec, from an O_PATH descriptor of a devpts ptmx node.

    Raises OSError if it is not one.
    """
    if os.fstat(ptmx).st_rdev != _PTMX or magic(ptmx) != DEVPTS_MAGIC:
        raise OSError(f"not the ptmx of a devpts: {os.readlink(f'/proc/self/fd/{ptmx}')}")
    master = os.open(f"/proc/self/fd/{ptmx}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        replica = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        os.close(master)
        raise
    return master, replica


def resize(terminal: int, height: int, width: int) -> None:
    """TIOCSWINSZ: rows and columns; the foreground group gets SIGWINCH."""
    fcntl.ioctl(terminal, _TIOCSWINSZ, struct.pack("HHHH", height & 0xFFFF, width & 0xFFFF, 0, 0))


def make_controlling(replica: int) -> None:
    """TIOCSCTTY: the calling session leader's controlling terminal."""
    fcntl.ioctl(replica, _TIOCSCTTY, 0)
