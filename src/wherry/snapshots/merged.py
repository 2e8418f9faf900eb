"""Layers merged as overlayfs merges them, but read by ourselves, directory by directory, all by descriptor."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from wherry.linux.overlay_form import is_opaque, is_whiteout
from wherry.linux.trees import DIRECTORY, look

Found = tuple[int, os.stat_result]
"""The directory that holds an entry, and what the entry is."""


class Merged:
    """One directory of the merged layers: its descriptors, top-most layer first. A context manager."""

    def __init__(self, fds: Sequence[int]) -> None:
        self._fds = fds

    @classmethod
    def open(cls, layers: Sequence[str]) -> Merged:
        """The root of ``layers``, top first. Raises OSError."""
        return cls(_until_opaque(os.open(layer, DIRECTORY) for layer in layers))

    @property
    def top(self) -> int:
        """The descriptor whose owner, mode and attributes are the directory's."""
        return self._fds[0]

    def entries(self) -> dict[str, Found]:
        """What is in it, by name; whiteouts hide and are not seen."""
        found: dict[str, Found] = {}
        for fd in self._fds:
            for name in os.listdir(fd):
                if name not in found:
                    found[name] = fd, os.stat(name, dir_fd=fd, follow_symlinks=False)
        return {name: entry for name, entry in found.items() if not is_whiteout(entry[1])}

    def below(self, name: str) -> Merged:
        """The directory ``name`` in it. Raises OSError."""
        return Merged(_until_opaque(self._open(name)))

    def _open(self, name: str) -> Iterator[int]:
        for fd in self._fds:
            found = look(fd, name)
            if found is None:
                continue
            if not stat.S_ISDIR(found.st_mode):
                return
            yield os.open(name, DIRECTORY, dir_fd=fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._fds:
            os.close(fd)


def _until_opaque(opened: Iterator[int]) -> list[int]:
    fds: list[int] = []
    try:
        for fd in opened:
            fds.append(fd)
            if is_opaque(fd):
                break
    except BaseException:
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        raise
    return fds
