"""The storage driver of a directory.

    <root>/docker/registry/v2/…      see ``layout``
    <root>/.staging/<uuid>           a file that is being written, a tree that is being removed

Every path is resolved by the kernel below the root's descriptor with symbolic links refused (openat2), so that neither
a link in the data nor a strange path leads outside. A file is staged, synced and renamed, and then its directory is
synced; what is removed is first renamed away, so that it is gone at once and whole.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Sequence

from wherry.linux.paths import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, openat2
from wherry.registry.filesystem_file import FileReader, FileWriter, regular_size
from wherry.registry.storage import PathMissing, Stat, entries

_log = logging.getLogger(__name__)

STAGING = ".staging"
STALE_SECONDS = 24 * 3600
"""A staged file so old belongs to no process any more."""
_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR})
_BEGUN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT})
_ATTEMPTS = 32
"""Directories come and go while others push and delete; each time around somebody has got on."""


class FilesystemDriver:
    """See ``storage.Driver``."""

    name = "filesystem"

    def __init__(self, root: str) -> None:
        """Makes ``root``. Raises OSError."""
        os.makedirs(root, exist_ok=True)
        self._root = os.open(root, _DIRECTORY | os.O_CLOEXEC)
        self._staging = self._make(STAGING)
        self._sweep()

    def read(self, path: str) -> bytes:
        """See ``storage.Driver``."""
        with self.open(path) as reader:
            data = bytearray(reader.size)
            view = memoryview(data)
            filled = 0
            while count := reader.readinto(view[filled:]):
                filled += count
            return bytes(data[:filled])

    def write(self, path: str, data: bytes) -> None:
        """See ``storage.Driver``."""
        staged = str(uuid.uuid4())
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(staged, flags, 0o644, dir_fd=self._staging)
        try:
            with os.fdopen(fd, "wb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(fd)
            self._settle(self._staging, staged, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged, dir_fd=self._staging)
            raise

    def stat(self, path: str) -> Stat:
        """See ``storage.Driver``."""
        fd = self._open(path, os.O_PATH)
        try:
            return _stat(os.fstat(fd))
        finally:
            os.close(fd)

    def open(self, path: str, offset: int = 0) -> FileReader:
        """See ``storage.Driver``."""
        fd = self._open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            size = regular_size(fd, path)
            if offset:
                os.lseek(fd, offset, os.SEEK_SET)
        except BaseException:
            os.close(fd)
            raise
        return FileReader(fd, size)

    def append(self, path: str, *, make: bool = True) -> FileWriter:
        """See ``storage.Driver``."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK
        if not make:
            return FileWriter(path, self._open(path, flags), self._move)
        try:
            fd = self._open(path, flags | os.O_CREAT, 0o644)
        except PathMissing:
            os.close(self._make(_parent(path)))
            fd = self._open(path, flags | os.O_CREAT, 0o644)
        return FileWriter(path, fd, self._move)

    def list(self, path: str) -> list[str]:
        """See ``storage.Driver``."""
        fd = self._open(path, _DIRECTORY)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        """See ``storage.Driver``. What is neither file nor directory is left out."""
        for name in entries(self, path):
            inner = f"{path}/{name}"
            try:
                found = self.stat(inner)
            except PathMissing:
                continue
            except OSError as error:
                _log.warning("%s: %s", inner, error)
                continue
            if found.directory:
                yield from self.walk(inner)
            else:
                yield inner, found

    def delete(self, path: str) -> None:
        """See ``storage.Driver``."""
        gone = str(uuid.uuid4())
        parent = self._open(_parent(path), _DIRECTORY)
        try:
            os.rename(os.path.basename(path), gone, src_dir_fd=parent, dst_dir_fd=self._staging)
            os.fsync(parent)
        except FileNotFoundError:
            raise PathMissing(f"{path}: nothing there") from None
        finally:
            os.close(parent)
        self._clear(gone)

    def redirect(self, path: str, method: str) -> str | None:
        """See ``storage.Driver``; a directory has no address."""
        del path, method
        return None

    def check(self) -> None:
        """See ``storage.Driver``."""
        if not os.fstat(self._root).st_nlink:
            raise OSError(errno.ENOENT, "the root directory has been removed")
        os.statvfs(self._root)

    def close(self) -> None:
        """See ``storage.Driver``."""
        os.close(self._staging)
        os.close(self._root)

    def _move(self, source: str, target: str) -> None:
        """Rename a synced file, replacing what is at ``target``; durable."""
        parent = self._open(_parent(source), _DIRECTORY)
        try:
            self._settle(parent, os.path.basename(source), target)
        finally:
            os.close(parent)

    def _settle(self, directory: int, name: str, target: str) -> None:
        """Rename ``name`` in ``directory`` to ``target``, whose parents are made, and make that durable."""
        for _ in range(_ATTEMPTS):
            try:
                parent = self._open(_parent(target), _DIRECTORY)
            except PathMissing:
                if self._settle_tree(directory, name, target):
                    return
                continue
            try:
                os.rename(name, os.path.basename(target), src_dir_fd=directory, dst_dir_fd=parent)
                os.fsync(parent)
            except FileNotFoundError:
                continue  # the directory is being removed
            else:
                return
            finally:
                os.close(parent)
        raise OSError(errno.EAGAIN, "the directory keeps being removed", target)

    def _settle_tree(self, directory: int, name: str, target: str) -> bool:
        """The same where directories are missing; False: somebody else has begun them, look again.

        They are made in staging and renamed into place with the file in them: a crash leaves no empty ones, which
        would be listed as a tag that leads nowhere.
        """
        above, first, inner = self._above(target)
        tree, last = str(uuid.uuid4()), os.path.basename(target)
        made: list[int] = []
        moved = False
        try:
            made.append(self._make(f"{STAGING}/{tree}"))
            for part in inner:
                os.mkdir(part, 0o755, dir_fd=made[-1])
                made.append(os.open(part, _DIRECTORY | os.O_CLOEXEC, dir_fd=made[-1]))
            os.rename(name, last, src_dir_fd=directory, dst_dir_fd=made[-1])
            moved = True
            for fd in reversed(made):
                os.fsync(fd)
            os.rename(tree, first, src_dir_fd=self._staging, dst_dir_fd=above)
        except OSError as error:
            with contextlib.suppress(OSError):
                if moved:
                    os.rename(last, name, src_dir_fd=made[-1], dst_dir_fd=directory)
                self._clear(tree)
            if moved and error.errno in _BEGUN:
                return False
            raise
        else:
            os.fsync(above)
            return True
        finally:
            for fd in (above, *made):
                os.close(fd)

    def _above(self, path: str) -> tuple[int, str, Sequence[str]]:
        """The lowest directory above ``path`` that there is, the first that is missing, and those between."""
        missing: list[str] = []
        while True:
            path = _parent(path)
            try:
                return self._open(_parent(path), _DIRECTORY), os.path.basename(path), missing
            except PathMissing:
                missing.insert(0, os.path.basename(path))

    def _open(self, path: str, flags: int, mode: int = 0) -> int:
        """Raises PathMissing, OSError (ELOOP: a symbolic link is on the way)."""
        try:
            return openat2(self._root, path or ".", flags, _RESOLVE, mode)
        except OSError as error:
            if error.errno in _MISSING:
                raise PathMissing(f"{path}: nothing there") from None
            if error.errno == errno.ELOOP:
                raise OSError(errno.ELOOP, "symbolic links are not followed", path) from None
            raise

    def _make(self, path: str) -> int:
        """A descriptor of the directory ``path``, made with its parents if there is none."""
        for _ in range(_ATTEMPTS):
            try:
                return self._open(path, _DIRECTORY)
            except PathMissing:
                parent = self._make(_parent(path))
            try:
                os.mkdir(os.path.basename(path), 0o755, dir_fd=parent)
                os.fsync(parent)
            except (FileExistsError, FileNotFoundError):
                pass  # somebody was faster, or is removing the parent: look again
            finally:
                os.close(parent)
        return self._open(path, _DIRECTORY)

    def _sweep(self) -> None:
        """Remove what a process that was killed has left in staging."""
        oldest = time.time() - STALE_SECONDS
        for name in os.listdir(self._staging):
            with contextlib.suppress(OSError):
                if os.stat(name, dir_fd=self._staging, follow_symlinks=False).st_mtime < oldest:
                    self._clear(name)

    def _clear(self, name: str) -> None:
        """Remove a file or tree in staging."""
        try:
            os.unlink(name, dir_fd=self._staging)
        except IsADirectoryError:
            shutil.rmtree(name, dir_fd=self._staging)


def _parent(path: str) -> str:
    return os.path.dirname(path)


def _stat(status: os.stat_result) -> Stat:
    if stat.S_ISDIR(status.st_mode):
        return Stat(0, status.st_mtime, directory=True)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "neither a file nor a directory")
    return Stat(status.st_size, status.st_mtime)
