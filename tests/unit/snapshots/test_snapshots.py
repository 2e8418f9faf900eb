"""Snapshots: layers below, one writable directory on top, nothing left of what was removed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wherry.lib.errors import Conflict, NotFound
from wherry.snapshots import NewLayer, Snapshots
from wherry.state.database import Database
from wherry.state.schema import MIGRATIONS
from wherry.state.snapshot import SnapshotRecords

pytestmark = pytest.mark.root


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "state.db", MIGRATIONS)
    yield database
    database.close()


@pytest.fixture
async def snapshots(tmp_path: Path, database: Database) -> AsyncIterator[Snapshots]:
    snapshots = Snapshots(tmp_path / "snapshots", SnapshotRecords(database))
    snapshots.recover()
    yield snapshots
    await snapshots.close()


def write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


async def layer(snapshots: Snapshots, chain_id: str, parent: str | None, **files: bytes) -> None:
    key, directory = await snapshots.extract()
    for name, data in files.items():
        write(f"{directory}/{name}", data)
    await snapshots.commit([NewLayer(key=key, chain_id=chain_id, parent=parent, size=sum(map(len, files.values())))])


async def test_an_overlay_has_its_layers_top_first(snapshots: Snapshots) -> None:
    """The skeleton is always the lowest, so an overlay never lacks a lower layer."""
    await layer(snapshots, "one", None, a=b"1")
    await layer(snapshots, "two", "one", b=b"2")
    overlay = await snapshots.prepare("container", "two")
    top, below, skeleton = overlay.lower
    assert os.listdir(top) == ["b"]
    assert os.listdir(below) == ["a"]
    assert os.listdir(f"{skeleton}/sys") == []
    assert overlay == snapshots.overlay("container")
    assert os.stat(overlay.upper).st_mode & 0o7777 == 0o755
    assert (await snapshots.prepare("empty", None)).lower == (skeleton,)


async def test_usage_counts_the_own_files_once(snapshots: Snapshots) -> None:
    await layer(snapshots, "one", None, a=b"12345")
    overlay = await snapshots.prepare("container", "one")
    os.mkdir(f"{overlay.upper}/d")
    write(f"{overlay.upper}/d/f", b"x" * 100)
    os.link(f"{overlay.upper}/d/f", f"{overlay.upper}/again")
    os.symlink("abc", f"{overlay.upper}/link")
    assert await snapshots.usage("container") == 103
    assert await snapshots.usage("one") == 5


async def test_what_is_removed_goes_whole(snapshots: Snapshots, tmp_path: Path) -> None:
    """Deeper than a path may be long, with names that are not text, and links that lead out."""
    overlay = await snapshots.prepare("container", None)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_text("alive")
    os.symlink(outside, f"{overlay.upper}/link")
    os.mkdir(os.fsencode(overlay.upper) + b"/\xff\xfe")
    at = os.open(overlay.upper, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("deeper", dir_fd=at)
        below = os.open("deeper", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    await snapshots.remove("container")
    await snapshots.remove("container")
    await snapshots.close()
    assert os.listdir(tmp_path / "snapshots") == ["0"]
    assert (outside / "canary").read_text() == "alive"


async def test_a_layer_below_others_stays(snapshots: Snapshots) -> None:
    await layer(snapshots, "one", None)
    await snapshots.prepare("container", "one")
    with pytest.raises(Conflict):
        await snapshots.remove("one")
    with pytest.raises(Conflict):
        await snapshots.prepare("container", "one")
    with pytest.raises(NotFound, match="layer nosuch does not exist"):
        await snapshots.prepare("other", "nosuch")
    with pytest.raises(NotFound):
        snapshots.overlay("other")


async def test_the_callers_change_is_in_the_same_transaction(snapshots: Snapshots, database: Database) -> None:
    def also(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await snapshots.prepare("container", None, also)
    assert not snapshots.exists("container")
    await snapshots.prepare("container", None, lambda c: c.execute("INSERT INTO lease VALUES ('a', 'b', 'c')") and None)
    assert database.read("SELECT count(*) FROM lease") == [(1,)]


async def test_a_layer_committed_twice_is_kept_once(snapshots: Snapshots, tmp_path: Path) -> None:
    await layer(snapshots, "one", None, a=b"1")
    await layer(snapshots, "one", None, a=b"1")
    await snapshots.close()
    assert len(os.listdir(tmp_path / "snapshots")) == 2


async def test_start_up_brings_directories_and_records_together(
    snapshots: Snapshots, database: Database, tmp_path: Path
) -> None:
    """Half an unpacked layer, a directory without a record, a record without a directory."""
    await layer(snapshots, "one", None, a=b"1")
    overlay = await snapshots.prepare("container", "one")
    await snapshots.extract()
    os.makedirs(tmp_path / "snapshots/77/fs")
    os.makedirs(tmp_path / "snapshots/junk")
    for name in ("fs", "work"):
        os.rmdir(f"{os.path.dirname(overlay.upper)}/{name}")
    os.rmdir(os.path.dirname(overlay.upper))
    again = Snapshots(tmp_path / "snapshots", SnapshotRecords(database))
    again.recover()
    assert again.overlay("container") == overlay
    assert os.listdir(overlay.upper) == []
    newer = await again.prepare("newer", "one")
    await again.close()
    assert newer.upper.endswith("/78/fs")
    assert sorted(os.listdir(tmp_path / "snapshots")) == ["0", "1", "2", "78"]


async def test_a_lost_layer_is_replaced_by_unpacking_it_again(snapshots: Snapshots, tmp_path: Path) -> None:
    """R8: the daemon starts, and loading the image again heals it, also for what stands on it."""
    await layer(snapshots, "one", None, a=b"1")
    await layer(snapshots, "two", "one", b=b"2")
    os.unlink(tmp_path / "snapshots/1/fs/a")
    for name in ("1/fs", "1/work", "1"):
        os.rmdir(tmp_path / "snapshots" / name)
    snapshots.recover()
    assert not snapshots.intact("one")
    await layer(snapshots, "one", None, a=b"1")
    overlay = await snapshots.prepare("container", "two")
    assert [os.listdir(lower) for lower in overlay.lower[:2]] == [["b"], ["a"]]


async def test_modes_keep_others_out(snapshots: Snapshots, tmp_path: Path) -> None:
    """S10: layers hold setuid programs."""
    await snapshots.prepare("container", None)
    assert (tmp_path / "snapshots").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "snapshots/1").stat().st_mode & 0o777 == 0o700
