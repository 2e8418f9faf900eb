"""The tar of what a snapshot's directory changed: overlayfs' whiteouts become names again (``whiteouts``).

Entries come in the order of their names, times are whole seconds, so the same directory gives the same bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from wherry.diff.errors import Stopped
from wherry.diff.tar import REGULAR, Entry
from wherry.diff.tarwriter import END, header
from wherry.diff.treetar import TreeTar, listed, seconds
from wherry.diff.whiteouts import OPAQUE, PREFIX
from wherry.lib.errors import Internal
from wherry.linux.overlay_form import is_opaque, is_whiteout
from wherry.linux.trees import DIRECTORY, look

DEPTH_MAX = 400
"""Directories inside each other: every level costs a descriptor."""
_ELSEWHERE = frozenset({"trusted.overlay.redirect", "user.overlay.redirect"})
"""A renamed directory whose content overlayfs looks for under the old name."""


def layer_of(directory: str, stopped: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
    """The layer tar of ``directory``, piece by piece. Raises OSError, Internal, Stopped."""
    tar = TreeTar()
    root = os.open(directory, DIRECTORY)
    stack: list[tuple[int, bytes, Iterator[bytes]]] = [(root, b"", iter(listed(root)))]
    try:
        while stack:
            fd, path, names = stack[-1]
            name = next(names, None)
            if name is None:
                os.close(fd)
                stack.pop()
                continue
            if stopped():
                raise Stopped
            found = look(fd, name)
            if found is None:
                continue
            if is_whiteout(found):
                yield header(Entry(name=path + PREFIX + name, kind=REGULAR, mode=0o600, mtime_ns=seconds(found)))
            elif not stat.S_ISDIR(found.st_mode):
                yield from tar.other(fd, name, path + name)
            elif (below := _enter(fd, name, path, len(stack))) is not None:
                stack.append((below, path + name + b"/", iter(listed(below))))
                yield tar.directory(below, path + name)
                if is_opaque(below):
                    mark = Entry(name=path + name + b"/" + OPAQUE, kind=REGULAR, mode=0o600, mtime_ns=seconds(found))
                    yield header(mark)
        yield END
    finally:
        for fd, _, _ in stack:
            os.close(fd)


def _enter(fd: int, name: bytes, path: bytes, depth: int) -> int | None:
    """The directory, open; None when it is gone or something else by now."""
    where = f"/{os.fsdecode(path + name)}"
    if depth > DEPTH_MAX:
        raise Internal(f"{where}: more than {DEPTH_MAX} directories inside each other")
    try:
        below = os.open(name, DIRECTORY, dir_fd=fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if _ELSEWHERE.isdisjoint(os.listxattr(below)):
        return below
    os.close(below)
    raise Internal(f"{where} was renamed by overlayfs in place (redirect_dir=on), which cannot be made a layer of")
