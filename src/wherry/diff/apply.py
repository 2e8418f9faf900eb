"""Applying a layer's tar to the directory of its snapshot.

Every name is taken relative to the snapshot's root: ``..`` and absolute names stay inside it, as in Docker, whose
unpacker is chrooted there. Parents are opened with RESOLVE_IN_ROOT, the last component is created with O_EXCL or
replaced, never followed. Later entries win over earlier ones; a directory over a directory is merged.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

import msgspec

from wherry.diff.directories import Directories
from wherry.diff.errors import BadArchive, Stopped
from wherry.diff.source import Source
from wherry.diff.tar import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    LINK,
    REGULAR,
    SIZE_MAX,
    SYMLINK,
    Entry,
    TarReader,
)
from wherry.diff.whiteouts import META_PREFIX, OPAQUE, PREFIX
from wherry.linux.namespaces import IN_USER_NAMESPACE
from wherry.linux.overlay_form import is_reserved, is_whiteout, make_opaque, make_whiteout
from wherry.linux.trees import remove_at, usage

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_VERBS = {LINK: "link", SYMLINK: "symlink", DIRECTORY: "mkdir", REGULAR: "open"}
ID_MAX = (1 << 32) - 2
ENTRIES_MAX = 5_000_000
"""Members of one layer; the largest images known have some hundred thousand files in all."""


class Applied(msgspec.Struct, frozen=True):
    """What a layer brought: bytes in its files (links counted once), and entries."""

    size: int
    entries: int


def apply_layer(
    read: Callable[[], bytes], target: str, lowers: Sequence[str] = (), stopped: Callable[[], bool] = lambda: False
) -> Applied:
    """Unpack the tar that ``read`` gives into ``target``; ``lowers`` are the layers below, top first.

    Reads to the very end, so that the caller can check the digest. Raises BadArchive (also for what the file system
    refuses because of the layer), OSError (disk full and the like), Stopped.
    """
    root = os.open(target, _DIRECTORY)
    try:
        source = Source(read)
        layer = _Layer(root, lowers)
        try:
            reader = TarReader(source)
            for entry in reader:
                if stopped():
                    raise Stopped
                layer.add(reader, entry)
            layer.finish()
        finally:
            layer.close()
        source.drain()
        # What was replaced has been counted and may have had links; then the disk is asked.
        return Applied(usage(target) if layer.replaced else layer.size, layer.entries)
    finally:
        os.close(root)


def clean_name(name: bytes) -> bytes:
    """``name`` relative to the root, without empty, ``.`` and ``..`` components; empty for the root itself."""
    if b"/." not in name and b"//" not in name and not name.startswith((b"/", b".")):
        return name.rstrip(b"/")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


class _Layer:
    """One layer being applied."""

    def __init__(self, root: int, lowers: Sequence[str]) -> None:
        self._root = root
        self._is_base = not lowers
        self._directories = Directories(root, lowers)
        self._times: dict[bytes, int] = {}
        self._stale = False
        self.replaced = False
        self.size = 0
        self.entries = 0

    def close(self) -> None:
        self._directories.close()

    def add(self, reader: TarReader, entry: Entry) -> None:
        """Apply one entry."""
        path = clean_name(entry.name)
        parent, _, name = path.rpartition(b"/")
        self.entries += 1
        if self.entries > ENTRIES_MAX:
            raise BadArchive("layer is too large: too many files")
        if self.size > SIZE_MAX:
            raise BadArchive("layer is too large: too many bytes")
        if self._stale:
            self._directories.forget()
            self._stale = False
        try:
            if name.startswith(PREFIX):
                self._whiteout(parent, name)
            elif not path:
                self._root_entry(entry)
            else:
                self._entry(reader, entry, path, parent, name)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE):
                raise
            raise _refused(entry, path, error) from None

    def finish(self) -> None:
        """Set the directories' times, now that nothing more is put into them."""
        for path, mtime in self._times.items():
            try:
                fd = self._directories.get(path)
            except OSError:
                continue  # replaced by something else later in the layer
            os.utime(fd, ns=(mtime, mtime))

    # --- kinds of entries -----------------------------------------------------------------------------------------

    def _entry(self, reader: TarReader, entry: Entry, path: bytes, parent: bytes, name: bytes) -> None:
        if not (0 <= entry.uid <= ID_MAX and 0 <= entry.gid <= ID_MAX):
            raise BadArchive(f"invalid owner {entry.uid}:{entry.gid} of {_shown(path)}")
        above = self._directories.get(parent)
        if entry.kind == DIRECTORY:
            self._directory(entry, path, above, name)
        elif entry.kind == REGULAR:
            self._regular(reader, entry, above, name)
        elif entry.kind == LINK:
            self._hard_link(entry, parent, above, name)
        elif entry.kind == SYMLINK:
            self._make(above, name, lambda: os.symlink(entry.link, name, dir_fd=above))
            self._own(entry, above, name)
            self.size += len(entry.link)
        elif entry.kind in _SPECIAL:
            self._device(entry, parent, above, name)
        else:
            raise BadArchive(f"unhandled tar header type {entry.kind[0]}")

    def _regular(self, reader: TarReader, entry: Entry, above: int, name: bytes) -> None:
        mode = entry.mode & 0o777
        try:
            fd = os.open(name, _NEW, mode, dir_fd=above)
        except FileExistsError:
            self._replace(above, name)
            fd = os.open(name, _NEW, mode, dir_fd=above)
        try:
            self._fill(fd, reader, entry)
            # One look instead of two changes, each of which has the file system write to its journal.
            made = os.fstat(fd)
            if made.st_uid != entry.uid or made.st_gid != entry.gid:
                os.fchown(fd, entry.uid, entry.gid)
            if made.st_mode != stat.S_IFREG | entry.mode:
                os.fchmod(fd, entry.mode)  # after chown, which clears setuid
            if entry.xattrs:
                _set_xattrs(fd, entry.xattrs)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)
        self.size += entry.size

    @staticmethod
    def _fill(fd: int, reader: TarReader, entry: Entry) -> None:
        if entry.segments is None:
            small = reader.small()
            if small is not None:
                _write(fd, memoryview(small))
                return
            for part in reader.data():
                _write(fd, part)
            return
        os.ftruncate(fd, entry.size)
        for offset, length in entry.segments:
            os.lseek(fd, offset, os.SEEK_SET)
            for part in reader.data(length):
                _write(fd, part)

    def _directory(self, entry: Entry, path: bytes, above: int, name: bytes) -> None:
        opaque = False
        try:
            os.mkdir(name, 0o700, dir_fd=above)
        except FileExistsError:
            found = os.stat(name, dir_fd=above, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                # A directory where a whiteout stands hides the one below, which overlayfs would merge otherwise.
                opaque = is_whiteout(found)
                self._replace(above, name)
                os.mkdir(name, 0o700, dir_fd=above)
        fd = os.open(name, _DIRECTORY, dir_fd=above)
        self._directories.hold(path, fd)
        if opaque and not self._is_base:
            make_opaque(fd)
        self._set(fd, entry)
        self._times[path] = entry.mtime_ns

    def _hard_link(self, entry: Entry, parent: bytes, above: int, name: bytes) -> None:
        target_path = clean_name(entry.link)
        directory, _, target = target_path.rpartition(b"/")
        if not target:
            raise BadArchive(f"link {_shown(target_path)}: operation not permitted")
        source = os.dup(self._directories.get(directory))
        try:
            above = self._directories.get(parent)  # opening the source may have let go of it
            found = os.stat(target, dir_fd=source, follow_symlinks=False)
            if is_whiteout(found):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            try:
                os.link(target, name, src_dir_fd=source, dst_dir_fd=above, follow_symlinks=False)
            except FileExistsError:
                there = os.stat(name, dir_fd=above, follow_symlinks=False)
                if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
                    return
                self._replace(above, name)
                os.link(target, name, src_dir_fd=source, dst_dir_fd=above, follow_symlinks=False)
        finally:
            os.close(source)

    def _device(self, entry: Entry, parent: bytes, above: int, name: bytes) -> None:
        device = 0 if entry.kind == FIFO else os.makedev(entry.major, entry.minor)
        if entry.kind == CHARACTER and device == 0:
            self._whiteout(parent, PREFIX + name)
            return
        if entry.kind != FIFO and IN_USER_NAMESPACE:
            return  # no device can be made there: a container would not be let use it either
        mode = _SPECIAL[entry.kind] | (entry.mode & 0o777)
        self._make(above, name, lambda: os.mknod(name, mode, device, dir_fd=above))
        self._own(entry, above, name)
        os.chmod(name, entry.mode, dir_fd=above)  # ours, just made, no link

    def _root_entry(self, entry: Entry) -> None:
        if entry.kind == DIRECTORY:
            self._set(self._root, entry)
            self._times[b""] = entry.mtime_ns

    def _whiteout(self, parent: bytes, name: bytes) -> None:
        if self._is_base:
            return  # there is nothing below to hide
        if name == OPAQUE:
            make_opaque(self._directories.get(parent))
            return
        if name.startswith(META_PREFIX):
            return  # left by AUFS
        hidden = name[len(PREFIX) :]
        if not hidden or hidden in (b".", b".."):
            raise BadArchive(f"invalid whiteout {_shown(name)}")
        above = self._directories.get(parent)
        try:
            make_whiteout(above, hidden)
        except FileExistsError:
            # What this layer itself brings stays (layer.md); of a directory only what lies below goes.
            if stat.S_ISDIR(os.stat(hidden, dir_fd=above, follow_symlinks=False).st_mode):
                fd = os.open(hidden, _DIRECTORY, dir_fd=above)
                make_opaque(fd)
                os.close(fd)

    # --- steps ----------------------------------------------------------------------------------------------------

    def _make(self, above: int, name: bytes, create: Callable[[], None]) -> None:
        """Run ``create``, once more after removing what has the name."""
        try:
            create()
        except FileExistsError:
            self._replace(above, name)
            create()

    def _replace(self, above: int, name: bytes) -> None:
        """Remove what an earlier entry put there."""
        remove_at(above, name)
        # ``above`` stays open for this entry; other descriptors may lead into what is gone.
        self._stale = self.replaced = True

    @staticmethod
    def _set(fd: int, entry: Entry) -> None:
        os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        if entry.xattrs:
            _set_xattrs(fd, entry.xattrs)

    @staticmethod
    def _own(entry: Entry, above: int, name: bytes) -> None:
        os.chown(name, entry.uid, entry.gid, dir_fd=above, follow_symlinks=False)
        if entry.xattrs:
            _set_xattrs(f"/proc/self/fd/{above}/".encode() + name, entry.xattrs)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=above, follow_symlinks=False)


def _write(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _set_xattrs(target: int | bytes, xattrs: dict[bytes, bytes]) -> None:
    for key, value in xattrs.items():
        if is_reserved(os.fsdecode(key)):
            continue
        try:
            if isinstance(target, int):
                os.setxattr(target, key, value)
            else:
                os.setxattr(target, key, value, follow_symlinks=False)
        except OSError as error:
            # A file system without xattrs, or user.* on a link: Docker warns and goes on.
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise


def _refused(entry: Entry, path: bytes, error: OSError) -> BadArchive:
    """What the file system refuses because of what the layer asks for, in the words of Go's PathError."""
    reason = os.strerror(error.errno or 0)
    verb = _VERBS.get(entry.kind, "mknod")
    about = f"{_shown(clean_name(entry.link))} {_shown(path)}" if entry.kind == LINK else _shown(path)
    return BadArchive(f"{verb} {about}: {reason[:1].lower()}{reason[1:]}")


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "replace")
