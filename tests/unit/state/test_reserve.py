"""On a full disk the state can still be written for a while, because room was set aside."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.lib.errors import Internal
from wherry.state.database import Database
from wherry.state.reserve import PIECE, PIECES, Reserve

pytestmark = pytest.mark.root

SCHEMA = ("CREATE TABLE kept (text TEXT)",)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def keep(database: Database, text: str) -> None:
    def change(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO kept VALUES (?)", (text,))

    database.write_now(change)


def test_what_was_set_aside_is_written_into(disk: Path) -> None:
    """Many changes succeed though not a byte is free; without a reserve they are refused in words."""
    database = Database(disk / "state.db", SCHEMA, Reserve(disk / "reserve"))
    keep(database, "before")
    assert len(os.listdir(disk / "reserve")) == PIECES
    fill(disk)
    for number in range(20):
        keep(database, f"{number}" * 2000)
    assert 0 < len(os.listdir(disk / "reserve")) < PIECES
    (count,) = database.read("SELECT count(*) FROM kept")[0]
    assert count == 21
    database.close()
    poor = Database(disk / "state.db", SCHEMA)
    fill(disk)
    with pytest.raises(Internal, match="no space left on device"):
        keep(poor, "x" * 1_000_000)
    poor.close()


def test_a_start_on_a_full_disk(disk: Path) -> None:
    """The files beside the database need room too."""
    Database(disk / "state.db", SCHEMA, Reserve(disk / "reserve")).close()
    Reserve(disk / "reserve").fill()
    fill(disk)
    database = Database(disk / "state.db", SCHEMA, Reserve(disk / "reserve"))
    keep(database, "after")
    database.close()


def test_it_is_filled_up_again(disk: Path) -> None:
    """Once there is room for it several times over, and not before."""
    reserve = Reserve(disk / "reserve")
    reserve.fill()
    assert reserve.spend()
    fill(disk)
    reserve.fill()
    assert len(os.listdir(disk / "reserve")) == PIECES - 1
    (disk / "filler").unlink()
    reserve.fill()
    assert len(os.listdir(disk / "reserve")) == PIECES
    assert sum(path.stat().st_size for path in (disk / "reserve").iterdir()) == PIECES * PIECE
    for _ in range(PIECES):
        assert reserve.spend()
    assert not reserve.spend()
