"""The lowest layer of every container: the files and directories that the runtime mounts things on.

Docker puts the same into an ``-init`` layer of each container, above the image. Below the image one copy serves all:
where the image has the name, the image's wins, just as Docker leaves alone what exists. It keeps the writable layer
empty, so that ``diff`` and ``commit`` see only what the program did, and it lets an image without layers run.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_DIRECTORIES = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
_FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
_MODE = 0o755


def build_skeleton(root: Path) -> None:
    """Make or complete the skeleton at ``root``."""
    root.mkdir(mode=_MODE, parents=True, exist_ok=True)
    os.chmod(root, _MODE)
    for name in _DIRECTORIES:
        (root / name).mkdir(exist_ok=True)
        os.chmod(root / name, _MODE)
    for name in _FILES:
        fd = os.open(root / name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        os.fchmod(fd, _MODE)
        os.close(fd)
    with contextlib.suppress(FileExistsError):
        os.symlink("/proc/mounts", root / "etc/mtab")
