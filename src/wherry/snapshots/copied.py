"""A whole file system out of merged layers: every file copied, with its links, attributes, holes and times."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from wherry.lib.errors import Unavailable
from wherry.linux.copying import Links, copy_entry, copy_metadata, wait_for_disk
from wherry.linux.trees import DEPTH_MAX, DIRECTORY
from wherry.snapshots.merged import Merged


class CopyStopped(Exception):
    """The caller gave up."""


def copy_layers(layers: Sequence[str], target: str, stopped: Callable[[], bool] = lambda: False) -> None:
    """Copy ``layers`` (top first) merged into the empty directory ``target``, and wait until it is on disk.

    Raises OSError, CopyStopped, and Unavailable for directories nested deeper than ``DEPTH_MAX``.
    """
    top = os.open(target, DIRECTORY)
    try:
        with Merged.open(layers) as source:
            _Copy(top, stopped).directory(source, top, "")
            copy_metadata(source.top, top)
        wait_for_disk(top, target)
    finally:
        os.close(top)


class _Copy:
    """One copy to below the directory ``top``."""

    def __init__(self, top: int, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._links = Links(top)

    def directory(self, source: Merged, target: int, path: str) -> None:
        """Copy everything in ``source`` into ``target``; ``path`` is where that is below the top, with a slash."""
        if path.count("/") > DEPTH_MAX:
            raise Unavailable(f"the native storage driver copies at most {DEPTH_MAX} directories inside each other")
        for name, (fd, found) in source.entries().items():
            if self._stopped():
                raise CopyStopped
            if stat.S_ISDIR(found.st_mode):
                with source.below(name) as inner:
                    self._subdirectory(inner, target, name, f"{path}{name}/")
            elif not self._links.made(found, target, f"{path}{name}"):
                copy_entry(fd, target, name, found)

    def _subdirectory(self, source: Merged, above: int, name: str, path: str) -> None:
        os.mkdir(name, 0o700, dir_fd=above)
        target = os.open(name, DIRECTORY, dir_fd=above)
        try:
            self.directory(source, target, path)
            copy_metadata(source.top, target)
        finally:
            os.close(target)
