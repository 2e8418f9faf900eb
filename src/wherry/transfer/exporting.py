"""A whole root as a tar, from its merged layers: ``docker export``."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from wherry.diff.errors import Stopped
from wherry.diff.tarwriter import END
from wherry.diff.treetar import TreeTar
from wherry.lib.errors import Internal
from wherry.snapshots.merged import Found, Merged

DEPTH_MAX = 120
"""Directories inside each other: every level costs a descriptor for each layer that has it."""


def root_tar(layers: Sequence[str], stopped: Callable[[], bool]) -> Iterator[bytes]:
    """The tar of ``layers`` merged, top first, piece by piece, sorted by name. Raises OSError, Internal, Stopped."""
    tar = TreeTar()
    with ExitStack() as opened:
        top = opened.enter_context(Merged.open(layers))
        yield from _directory(tar, top, b"", stopped)
    yield END


def _directory(tar: TreeTar, merged: Merged, path: bytes, stopped: Callable[[], bool]) -> Iterator[bytes]:
    if path.count(b"/") > DEPTH_MAX:
        raise Internal(f"/{os.fsdecode(path)}: more than {DEPTH_MAX} directories inside each other")
    for name, (fd, found) in sorted(merged.entries().items(), key=_as_bytes):
        if stopped():
            raise Stopped
        raw = os.fsencode(name)
        if not stat.S_ISDIR(found.st_mode):
            yield from tar.other(fd, raw, path + raw)
            continue
        with merged.below(name) as inner:
            yield tar.directory(inner.top, path + raw)
            yield from _directory(tar, inner, path + raw + b"/", stopped)


def _as_bytes(entry: tuple[str, Found]) -> bytes:
    return os.fsencode(entry[0])
