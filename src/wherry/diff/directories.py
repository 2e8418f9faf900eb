"""The directories of a layer being filled: opened once below the root, remembered, made where the tar left them out."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence

from wherry.linux.paths import open_in

HELD_MAX = 256
_FLAGS = os.O_RDONLY | os.O_DIRECTORY
IMPLICIT_MODE = 0o755


class Directories:
    """Descriptors of directories below ``root``, by their path in the layer."""

    def __init__(self, root: int, lowers: Sequence[str] = ()) -> None:
        self._root = root
        self._lowers = lowers
        self._held: dict[bytes, int] = {}

    def close(self) -> None:
        """Let go of all descriptors."""
        held, self._held = self._held, {}
        for fd in held.values():
            os.close(fd)

    def forget(self) -> None:
        """Something was replaced: what a path leads to may have changed."""
        self.close()

    def get(self, path: bytes) -> int:
        """The directory ``path``, made with what lies above it if it is missing. Raises OSError."""
        if not path:
            return self._root
        held = self._held.get(path)
        if held is not None:
            return held
        try:
            fd = open_in(self._root, _text(path), _FLAGS)
        except FileNotFoundError:
            fd = self._make(path)
        return self.hold(path, fd)

    def hold(self, path: bytes, fd: int) -> int:
        """Keep ``fd`` as the directory ``path``."""
        if path in self._held:
            os.close(self._held.pop(path))
        elif len(self._held) >= HELD_MAX:
            self.close()
        self._held[path] = fd
        return fd

    def _make(self, path: bytes) -> int:
        """Make ``path`` and what is missing above it, each like the directory of that name in the layers below.

        They will be merged with those, and the upper one's owner and mode are what shows.
        """
        parts = path.split(b"/")
        fd, depth = self._nearest(parts)
        try:
            for count in range(depth + 1, len(parts) + 1):
                below = self._new(fd, parts[count - 1], b"/".join(parts[:count]))
                os.close(fd)
                fd = below
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _nearest(self, parts: list[bytes]) -> tuple[int, int]:
        """The lowest directory of the path that is there, and how many parts lead to it."""
        for depth in range(len(parts) - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                return open_in(self._root, _text(b"/".join(parts[:depth])), _FLAGS), depth
        return os.dup(self._root), 0

    def _new(self, above: int, name: bytes, path: bytes) -> int:
        try:
            os.mkdir(name, dir_fd=above)
        except FileExistsError:
            # A dangling link, which Docker does not follow either, or a file.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        fd = os.open(name, _FLAGS | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        below = self._below(path)
        os.fchown(fd, below.st_uid if below else 0, below.st_gid if below else 0)
        os.fchmod(fd, below.st_mode & 0o7777 if below else IMPLICIT_MODE)
        return fd

    def _below(self, path: bytes) -> os.stat_result | None:
        for lower in self._lowers:
            root = os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fd = open_in(root, _text(path), os.O_PATH | os.O_DIRECTORY, links=False)
            except OSError:
                continue
            finally:
                os.close(root)
            try:
                return os.fstat(fd)
            finally:
                os.close(fd)
        return None


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
