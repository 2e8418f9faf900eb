"""The local driver: a directory per volume, or what its options say is mounted there.

Everything here waits for the disk: call it on a thread. Making and removing are each one rename or mkdir that decides;
``recover`` finishes or undoes what a crash interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from wherry.lib.atomic import sync_directory
from wherry.lib.errors import Internal
from wherry.linux import trees
from wherry.linux.mounts import CLEAR, SET, UMOUNT_NOFOLLOW, mount, unmount
from wherry.volumes.populate import finish_population

DATA = "_data"
_REMOVED = ".removed-"

_log = logging.getLogger(__name__)


class LocalDriver:
    """The volumes below one directory."""

    name = "local"
    scope = "local"

    def __init__(self, root: Path, owner: tuple[int, int] = (0, 0)) -> None:
        self._root = root
        self._owner = owner
        """Of a new volume: the host's ids of the containers' root."""

    def path(self, name: str) -> Path:
        """Where the data of volume ``name`` is."""
        return self._root / name / DATA

    def create(self, name: str) -> None:
        """Make an empty volume; one that is there already stays as it is. Raises OSError."""
        self._root.mkdir(mode=0o701, parents=True, exist_ok=True)
        top = self._root / name
        top.mkdir(mode=0o701, exist_ok=True)
        self.path(name).mkdir(mode=0o755, exist_ok=True)
        self.path(name).chmod(0o755)
        if self._owner != (0, 0):
            os.chown(self.path(name), *self._owner)
        sync_directory(top)
        sync_directory(self._root)

    def hide(self, name: str) -> Path:
        """Take the volume out of sight, to the path returned; ``purge`` deletes it, ``show`` takes it back.

        Raises OSError.
        """
        hidden = self._root / f"{_REMOVED}{os.urandom(4).hex()}-{name}"
        with contextlib.suppress(FileNotFoundError):
            (self._root / name).rename(hidden)
            sync_directory(self._root)
        return hidden

    def show(self, name: str, hidden: Path) -> None:
        """Undo ``hide``. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            hidden.rename(self._root / name)
            sync_directory(self._root)

    def purge(self, hidden: Path) -> None:
        """Delete a hidden volume. What would not go is said in the log and tried again at the next start."""
        try:
            trees.remove_tree(str(hidden))
        except OSError as error:
            _log.warning("a removed volume's data is not deleted yet, %s: %s", hidden, error)

    def purge_named(self, hidden: str) -> None:
        """The same by the hidden directory's name."""
        self.purge(self._root / hidden)

    def present(self) -> tuple[set[str], set[str]]:
        """The volumes' directories, and the hidden ones. Raises OSError."""
        if not self._root.is_dir():
            return set(), set()
        with os.scandir(self._root) as entries:
            names = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
        hidden = {name for name in names if name.startswith(_REMOVED)}
        return names - hidden, hidden

    def usage(self, name: str) -> int:
        """Bytes in the volume's files; -1 when they cannot be counted."""
        try:
            return trees.usage(str(self.path(name)))
        except OSError as error:
            _log.warning("size of volume %s is not known: %s", name, error)
            return -1

    def created_at(self, name: str) -> int:
        """When the volume's directory was made, ns since the epoch. Raises OSError."""
        return (self._root / name).stat().st_ctime_ns

    def recover(self) -> tuple[set[str], set[str]]:
        """Finish what a crash interrupted: the names of the volumes found, and of those whose removal had begun.

        A directory that a crash left half made, with nothing in it, is among the found: ``is_blank`` tells.
        """
        found: set[str] = set()
        removed: set[str] = set()
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._root):
                if entry.name.startswith(_REMOVED):
                    removed.add(entry.name.removeprefix(_REMOVED).partition("-")[2])
                    self.purge(self._root / entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    found.add(entry.name)
                    if self.path(entry.name).is_dir():
                        finish_population(self.path(entry.name))
        return found, removed

    def is_there(self, name: str) -> bool:
        """Whether there is anything of that name."""
        return (self._root / name).exists()

    def is_blank(self, name: str) -> bool:
        """Whether the volume's directory holds nothing but an empty data directory, or not even that."""
        inside = os.listdir(self._root / name)
        return not inside or (inside == [DATA] and not os.listdir(self.path(name)))

    def is_mounted(self, name: str) -> bool:
        """Whether something is mounted on the volume's data directory, by /proc/self/mountinfo."""
        target = str(self.path(name))
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            return any(_unescaped(line.split(" ")[4]) == target for line in table)

    def mount(self, name: str, options: Mapping[str, str]) -> None:
        """Mount what ``options`` name, unless it is mounted. Raises Internal."""
        if self.is_mounted(name):
            return
        flags, data = mount_options(options.get("o", ""))
        target = str(self.path(name))
        try:
            mount(options["device"], target, options["type"], flags, data)
        except OSError as error:
            details = f", flags: 0x{flags:x}" * bool(flags) + f", data: {data}" * bool(data)
            raise Internal(
                f"error while mounting volume '{target}': failed to mount local volume: "
                f"mount {options['device']}:{target}{details}: {os.strerror(error.errno or 0).lower()}"
            ) from error

    def unmount(self, name: str) -> None:
        """Undo ``mount``. Raises OSError."""
        while self.is_mounted(name):
            unmount(str(self.path(name)), UMOUNT_NOFOLLOW)


def mount_options(text: str) -> tuple[int, str]:
    """The flags of mount(2) and the file system's own options out of ``o``, comma separated as in /etc/fstab."""
    flags, data = 0, []
    for word in filter(None, text.split(",")):
        if word in SET:
            flags |= SET[word]
        elif word in CLEAR:
            flags &= ~CLEAR[word]
        else:
            data.append(word)
    return flags, ",".join(data)


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
