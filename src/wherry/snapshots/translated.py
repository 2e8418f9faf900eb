"""An upper directory that fuse-overlayfs wrote, in the form that the kernel's overlayfs has.

The program says "opaque" by a file ``.wh..wh..opq``, and "gone" by a file ``.wh.<name>`` where it may make no device.
"""

from __future__ import annotations

import os
import stat

from wherry.lib.errors import Unavailable
from wherry.linux.copying import copy_metadata
from wherry.linux.overlay_form import is_opaque, make_opaque, make_whiteout
from wherry.linux.trees import DEPTH_MAX, DIRECTORY

OPAQUE = ".wh..wh..opq"
PREFIX = ".wh."


def translate(source: int, target: int, depth: int = 0) -> None:
    """Put what ``source`` holds into the empty directory ``target``, files by hard link.

    Raises OSError, Unavailable for directories nested too deep; what vanishes meanwhile was never there.
    """
    if depth > DEPTH_MAX:
        raise Unavailable(f"more than {DEPTH_MAX} directories inside each other")
    names = os.listdir(source)
    for name in names:
        try:
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                _directory(source, target, name, depth)
            elif name.startswith(PREFIX):
                if name != OPAQUE:
                    make_whiteout(target, name.removeprefix(PREFIX))
            else:
                os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            continue
    copy_metadata(source, target)
    if OPAQUE in names or is_opaque(source):
        make_opaque(target)


def _directory(source: int, target: int, name: str, depth: int) -> None:
    inner = os.open(name, DIRECTORY, dir_fd=source)
    try:
        os.mkdir(name, 0o700, dir_fd=target)
        made = os.open(name, DIRECTORY, dir_fd=target)
        try:
            translate(inner, made, depth + 1)
        finally:
            os.close(made)
    finally:
        os.close(inner)
