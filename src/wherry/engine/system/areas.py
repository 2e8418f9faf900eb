"""Every byte of the data root, by what it is for (beyond Docker): ``wherry system df -v``.

Two numbers of each: bytes in the files, and bytes that the file system has given for them, directories included. What
no area claims is named as ``other``, so that the sum is always that of ``du``.

    content/blobs     blobs        layers as they came, configs, manifests
    content/ingest    ingest       on the way in
    snapshots/<n>     layers       unpacked layers
                      containers   what containers wrote
                      prepared     directories made ahead, and the skeleton
    containers/<id>   logs         and container files: what is mounted into /etc, and the like
    volumes/<name>    volumes
    state.db*         state        and reserve/: what is kept free for it
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = 512
"""The unit of st_blocks, whatever the file system's is."""
_NOTHING = (0, 0)


@dataclass(slots=True)
class Area:
    """One purpose: how many things of it, and what they take."""

    name: str
    items: int = 0
    size: int = 0
    allocated: int = 0
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The same (size, allocated) of each thing, by its name; of layers by chain id, of containers by id."""

    def add(self, name: str, size: int, allocated: int) -> None:
        """One more thing, or more of one."""
        self.items += name not in self.parts and name != "."  # which is the directory that all are in
        before = self.parts.get(name, _NOTHING)
        self.parts[name] = (before[0] + size, before[1] + allocated)
        self.size += size
        self.allocated += allocated

    def allocated_of(self, name: str) -> int:
        """Bytes given for one thing; 0 for what is not there."""
        return self.parts.get(name, _NOTHING)[1]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Whose the directory of a snapshot is."""

    key: str
    committed: bool


def measure(root: Path, snapshots: dict[str, Snapshot]) -> list[Area]:
    """Walk the data root. Blocking; ``snapshots`` is by directory name. What goes meanwhile counts nothing."""
    areas: dict[str, Area] = {name: Area(name) for name in NAMES}
    own = _Walk(areas)
    own.count("other", ".", root)
    for entry in _scan(root):
        claim = _CLAIMS.get(entry.name)
        if claim is not None:
            claim(own, Path(entry.path), snapshots)
        elif entry.name.startswith("state.db") or entry.name == "reserve":
            own.tree("state", entry.name, entry.path)
        else:
            own.tree("other", entry.name, entry.path)
    return list(areas.values())


NAMES = (
    "layers",
    "blobs",
    "ingest",
    "containers",
    "container files",
    "logs",
    "volumes",
    "state",
    "prepared",
    "other",
)


class _Walk:
    """The areas being filled."""

    def __init__(self, areas: dict[str, Area]) -> None:
        self._areas = areas
        self._linked: set[tuple[int, int]] = set()

    def count(self, area: str, name: str, path: str | Path) -> None:
        """One file or one directory itself."""
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(path, follow_symlinks=False)
            if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                if (found.st_dev, found.st_ino) in self._linked:
                    return
                self._linked.add((found.st_dev, found.st_ino))
            size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
            self._areas[area].add(name, size, found.st_blocks * _BLOCK)

    def tree(self, area: str, name: str, path: str | Path) -> None:
        """A file, or a directory with all below it on the same file system."""
        self.count(area, name, path)
        device = _device(path)
        below = [str(path)]
        while below:
            for entry in _scan(below.pop()):
                if entry.is_dir(follow_symlinks=False):
                    if _device(entry.path) != device:
                        continue
                    below.append(entry.path)
                self.count(area, name, entry.path)


def _content(walk: _Walk, path: Path, _snapshots: dict[str, Snapshot]) -> None:
    for directory in (path, path / "blobs", path / "blobs/sha256"):
        walk.count("blobs", ".", directory)
    for entry in _scan(path / "blobs/sha256"):
        walk.count("blobs", f"sha256:{entry.name}", entry.path)
    walk.count("ingest", ".", path / "ingest")
    for entry in _scan(path / "ingest"):
        walk.count("ingest", entry.name, entry.path)


def _snapshots(walk: _Walk, path: Path, snapshots: dict[str, Snapshot]) -> None:
    walk.count("prepared", ".", path)
    for entry in _scan(path):
        owner = snapshots.get(entry.name)
        if owner is None:
            walk.tree("prepared", entry.name, entry.path)
        elif owner.committed:
            walk.tree("layers", owner.key, entry.path)
        else:
            walk.tree("containers", owner.key, entry.path)


def _containers(walk: _Walk, path: Path, _snapshots: dict[str, Snapshot]) -> None:
    walk.count("container files", ".", path)
    for container in _scan(path):
        walk.count("container files", container.name, container.path)
        for entry in _scan(container.path):
            area = "logs" if "-json.log" in entry.name else "container files"
            walk.tree(area, container.name, entry.path)


def _volumes(walk: _Walk, path: Path, _snapshots: dict[str, Snapshot]) -> None:
    walk.count("volumes", ".", path)
    for entry in _scan(path):
        walk.tree("volumes", entry.name, entry.path)


_CLAIMS: dict[str, Callable[[_Walk, Path, dict[str, Snapshot]], None]] = {
    "content": _content,
    "snapshots": _snapshots,
    "containers": _containers,
    "volumes": _volumes,
}


def _scan(path: str | Path) -> Iterator[os.DirEntry[str]]:
    """The entries of a directory; of what is none, or is gone, nothing."""
    try:
        entries: Iterable[os.DirEntry[str]] = list(os.scandir(path))
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from entries


def _device(path: str | Path) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_dev
    except FileNotFoundError:
        return -1
