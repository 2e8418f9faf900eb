"""Storage drivers below the snapshotter: the merged copy, and what a copy says has changed."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.trees import differences, facts, make_odd_tree
from wherry.lib.errors import InvalidArgument, Unavailable
from wherry.linux.mounts import MNT_DETACH, mount, unmount
from wherry.linux.overlay_form import make_opaque, make_whiteout
from wherry.linux.trees import remove_tree
from wherry.snapshots import NewLayer, Snapshots
from wherry.snapshots.copied import CopyStopped
from wherry.snapshots.drivers import select
from wherry.snapshots.drivers.fuse import FuseDriver
from wherry.snapshots.drivers.native import _copy
from wherry.snapshots.drivers.overlay import OverlayDriver
from wherry.state.database import Database
from wherry.state.schema import MIGRATIONS
from wherry.state.snapshot import SnapshotRecords

pytestmark = pytest.mark.root


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[Snapshots]:
    database = Database(tmp_path / "state.db", MIGRATIONS)
    snapshots = Snapshots(tmp_path / "snapshots", SnapshotRecords(database), "native")
    snapshots.recover()
    yield snapshots
    await snapshots.close()
    database.close()


def write(text: str, *where: str) -> None:
    Path(*where).write_text(text)


def read(*where: str) -> str:
    return Path(*where).read_text()


def below(top: str) -> set[str]:
    """The paths of everything in a directory."""
    return {
        os.path.relpath(os.path.join(path, name), top)
        for path, folders, files in os.walk(top)
        for name in (*folders, *files)
    }


async def _layers(snapshots: Snapshots) -> str:
    """Three layers with everything that a merge has to mind; the top one's chain id."""
    key, low = await snapshots.extract()
    make_odd_tree(Path(low))
    for name in ("hidden", "replaced", "kept", "becomes-a-file"):
        os.mkdir(f"{low}/{name}")
        write(name, low, name, "low")
    await snapshots.commit([NewLayer(key=key, chain_id="low", parent=None, size=1)])
    key, middle = await snapshots.extract()
    top = os.open(middle, os.O_RDONLY)
    make_whiteout(top, "hidden")
    os.mkdir(f"{middle}/replaced")
    fd = os.open(f"{middle}/replaced", os.O_RDONLY)
    make_opaque(fd)
    os.close(fd)
    os.close(top)
    write("m", middle, "replaced", "middle")
    write("file", middle, "becomes-a-file")
    await snapshots.commit([NewLayer(key=key, chain_id="middle", parent="low", size=1)])
    key, high = await snapshots.extract()
    os.mkdir(f"{high}/kept", 0o700)
    write("h", high, "kept", "high")
    await snapshots.commit([NewLayer(key=key, chain_id="high", parent="middle", size=1)])
    return "high"


async def test_a_copy_is_what_overlayfs_shows(native: Snapshots, tmp_path: Path) -> None:
    """Every attribute of every file; holes stay holes, hard links stay together."""
    overlay = await native.prepare("container", await _layers(native))
    assert (overlay.upper, overlay.work) == ("", "")
    lower = (*native.lowers("high"), f"{native.directory(0)}/fs")
    merged = tmp_path / "merged"
    merged.mkdir()
    mount("overlay", str(merged), "overlay", 0, "lowerdir=" + ":".join(lower))
    try:
        seen, copied = facts(merged), facts(Path(overlay.lower[0]))
    finally:
        unmount(str(merged), MNT_DETACH)
    assert not differences(seen, copied)
    assert os.stat(f"{overlay.lower[0]}/holes").st_blocks * 512 < 1 << 20


async def test_a_copy_tells_what_was_changed(native: Snapshots) -> None:
    """And nothing else: in overlayfs' form, with the links between changed files."""
    root = (await native.prepare("container", await _layers(native))).lower[0]
    async with native.changes("container") as directory:
        assert os.listdir(directory) == []
    os.utime(f"{root}/kept/low", ns=(1, os.stat(f"{root}/kept/low").st_mtime_ns))  # only read, so to say
    same = os.stat(f"{root}/owned")
    write("H", root, "kept", "high")  # of the same size
    os.utime(f"{root}/kept/high", ns=(1, same.st_mtime_ns))
    os.remove(f"{root}/pipe")
    os.chmod(f"{root}/sticky", 0o700)
    os.mkdir(f"{root}/new")
    write("1", root, "new", "one")
    os.link(f"{root}/new/one", f"{root}/two")
    os.remove(f"{root}/replaced/middle")
    os.rmdir(f"{root}/replaced")
    write("a file now", root, "replaced")
    async with native.changes("container") as directory:
        found = below(directory)
        assert found == {"kept", "kept/high", "pipe", "sticky", "new", "new/one", "two", "replaced"}
        gone = os.lstat(f"{directory}/pipe")
        assert (stat.S_ISCHR(gone.st_mode), gone.st_rdev) == (True, 0)
        assert os.stat(f"{directory}/new/one").st_ino == os.stat(f"{directory}/two").st_ino
        assert stat.S_IMODE(os.stat(f"{directory}/sticky").st_mode) == 0o700
    assert [name for name in os.listdir(os.path.dirname(root)) if name.startswith("changes")] == []
    assert await native.usage("container") == 1 + 1 + len("a file now")


async def test_a_change_that_hides_its_time_is_seen(native: Snapshots) -> None:
    """Same size, same time, other bytes: no program can set the ctime."""
    root = (await native.prepare("container", await _layers(native))).lower[0]
    before = os.stat(f"{root}/kept/low")
    write("KEPT", root, "kept", "low")
    os.utime(f"{root}/kept/low", ns=(before.st_atime_ns, before.st_mtime_ns))
    async with native.changes("container") as directory:
        assert os.listdir(f"{directory}/kept") == ["low"]


async def test_a_lost_copy_is_made_again(native: Snapshots, tmp_path: Path) -> None:
    """The record is the truth: what is missing at the start comes from the image."""
    root = (await native.prepare("container", await _layers(native))).lower[0]
    os.rename(os.path.dirname(root), tmp_path / "lost")
    native.recover()
    assert (await native.ready("container")).lower == (root,)
    assert read(root, "kept", "high") == "h"


async def test_a_copy_that_was_given_up_is_not_taken_for_whole(native: Snapshots) -> None:
    """Seen to fail with a copy made in place: the container had an empty root then."""
    root = (await native.prepare("container", await _layers(native))).lower[0]
    remove_tree(root)
    stop = threading.Event()
    stop.set()
    with pytest.raises(CopyStopped):
        _copy(os.path.dirname(root), native.below("container"), stop)
    assert "root" not in os.listdir(os.path.dirname(root))
    assert (await native.ready("container")).lower == (root,)
    assert read(root, "kept", "high") == "h"


def test_where_overlayfs_does_not_work_another_is_taken(tmp_path: Path) -> None:
    """On an overlay there is no second one; asked for by name it is refused with what to do."""
    for name in ("lower", "upper", "work", "root"):
        (tmp_path / name).mkdir()
    options = ",".join(f"{name}dir={tmp_path}/{name}" for name in ("lower", "upper", "work"))
    root = tmp_path / "root"
    mount("overlay", str(root), "overlay", 0, options)
    try:
        assert select("", root).name in ("fuse-overlayfs", "native")
        assert select("vfs", root).name == "vfs"
        with pytest.raises(Unavailable, match="put the data root on ext4 or xfs"):
            select("overlay2", root)
        assert os.listdir(root) == []
    finally:
        unmount(str(root), MNT_DETACH)


def test_overlayfs_is_the_first_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then fuse-overlayfs, then copies."""
    assert select("", tmp_path).name == "overlay2"

    def refuse(_self: object, _root: Path) -> None:
        raise Unavailable("not here")

    monkeypatch.setattr(OverlayDriver, "probe", refuse)
    monkeypatch.setattr(FuseDriver, "probe", lambda _self, _root: None)
    assert select("", tmp_path).name == "fuse-overlayfs"
    monkeypatch.setattr(FuseDriver, "probe", refuse)
    assert select("", tmp_path).name == "native"


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="driver not supported: zfs"):
        select("zfs", tmp_path)
