"""R10, the writer's half: what somebody reads is not thrown away, and what stands still cannot fill the disk."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from unit.runtime.test_shim_log import texts, writer
from wherry.runtime import shim_rotation


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """Hold a file as a reader does."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield fd
    finally:
        os.close(fd)


def numbered(start: int, stop: int) -> str:
    return "".join(f"{number}\n" for number in range(start, stop))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_only_file_is_kept_while_it_is_read(tmp_path: Path) -> None:
    """max-file 1: the full file steps aside, the next one grows; afterwards there is one file again."""
    log = writer(tmp_path / "log", max_size=300, max_files=1)
    log.write(1, b"0\n")
    with reading(tmp_path / "log"):
        for number in range(1, 40):
            log.write(1, b"%d\n" % number)
        assert names(tmp_path) == ["log", "log.1"]
        assert texts(tmp_path / "log.1") + texts(tmp_path / "log") == numbered(0, 40)
    for number in range(40, 80):
        log.write(1, b"%d\n" % number)
    assert names(tmp_path) == ["log"]
    assert (tmp_path / "log").stat().st_size < 400
    log.close()


def test_what_was_kept_for_a_reader_goes_at_the_end(tmp_path: Path) -> None:
    """A container's last reader gone, max-file 1 leaves one file."""
    log = writer(tmp_path / "log", max_size=100, max_files=1)
    log.write(1, b"x\n")
    with reading(tmp_path / "log"):
        for _ in range(5):
            log.write(1, b"x\n")
        assert names(tmp_path) == ["log", "log.1"]
    log.close()
    assert names(tmp_path) == ["log"]


@pytest.mark.parametrize("compress", [False, True])
def test_a_held_oldest_file_stays_and_so_does_what_is_newer(tmp_path: Path, *, compress: bool) -> None:
    """max-file 3: with a reader on the oldest nothing is lost, and when it has gone the count holds again."""
    log = writer(tmp_path / "log", max_size=300, max_files=3, compress=compress)
    log.write(1, b"0\n")
    with reading(tmp_path / "log"):
        for number in range(1, 60):
            log.write(1, b"%d\n" % number)
            log.step()
        held = tmp_path / "log.2"
        rotated = tmp_path / ("log.1.gz" if compress else "log.1")
        assert names(tmp_path) == sorted(["log", rotated.name, "log.2"])
        assert texts(held) + texts(rotated) + texts(tmp_path / "log") == numbered(0, 60)
    for number in range(60, 120):
        log.write(1, b"%d\n" % number)
    log.close()
    suffix = ".gz" if compress else ""
    assert names(tmp_path) == sorted(["log", f"log.1{suffix}", f"log.2{suffix}"])


@pytest.mark.parametrize("max_files", [1, 3])
def test_a_reader_that_stands_still_cannot_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_files: int
) -> None:
    """Sixteen times the log's size or a fixed minimum, then the reader loses."""
    monkeypatch.setattr(shim_rotation, "_LEAST_PATIENCE", 20_000)
    log = writer(tmp_path / "log", max_size=100, max_files=max_files)
    log.write(1, b"0\n")
    with reading(tmp_path / "log"):
        largest = 0
        for _ in range(100):
            log.write(1, b"0123456789\n" * 10)
            largest = max(largest, sum(path.stat().st_size for path in tmp_path.iterdir()))
    log.close()
    assert 6_000 < largest < 22_000


def test_an_outside_truncation_forgets_what_was_put_off(tmp_path: Path) -> None:
    """A file that has become small again is turned over at its proper size."""
    log = writer(tmp_path / "log", max_size=300, max_files=2)
    log.write(1, b"first\n")
    with reading(tmp_path / "log"):
        log.write(1, b"0123456789\n" * 40)
    os.truncate(tmp_path / "log", 0)
    for number in range(12):
        log.write(1, b"%d\n" % number)
    log.close()
    assert max(path.stat().st_size for path in tmp_path.iterdir() if path.name == "log") < 400


def test_a_rotation_that_fails_keeps_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R12: no room for a new file: the old one is written on, and turned over later."""
    log = writer(tmp_path / "log", max_size=200, max_files=2)

    def refused(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    log.write(1, b"0\n")
    with monkeypatch.context() as patch:
        patch.setattr(shim_rotation.os, "rename", refused)
        for number in range(1, 10):
            log.write(1, b"%d\n" % number)
    assert texts(tmp_path / "log") == numbered(0, 10)
    for number in range(10, 14):
        log.write(1, b"%d\n" % number)
    log.close()
    assert names(tmp_path) == ["log", "log.1"]
    assert texts(tmp_path / "log.1") + texts(tmp_path / "log") == numbered(0, 14)
