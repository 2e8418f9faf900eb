"""Uploads and the store below them, without a server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.registry.errors import BadDigest, BadUpload, UploadUnknown
from wherry.registry.filesystem import STALE_SECONDS, FilesystemDriver
from wherry.registry.names import digest_of
from wherry.registry.storage import PathMissing
from wherry.registry.store import Store
from wherry.registry.uploads import Uploads


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FilesystemDriver(str(tmp_path)))


def _fill(data: bytes, piece: int = 7) -> Callable[[memoryview], int]:
    position = 0

    def fill(buffer: memoryview) -> int:
        nonlocal position
        part = data[position : position + min(piece, len(buffer))]
        buffer[: len(part)] = part
        position += len(part)
        return len(part)

    return fill


def _any(_size: int) -> None:
    pass


def test_another_process_goes_on(store: Store, tmp_path: Path) -> None:
    """What is in the file is hashed anew by who did not write it."""
    first = Uploads(store)
    identifier = first.begin("a")
    assert first.append("a", identifier, _fill(b"first "), _any) == 6
    second = Uploads(Store(FilesystemDriver(str(tmp_path))))
    assert second.append("a", identifier, _fill(b"second "), _any) == 13
    digest = digest_of(b"first second third")
    assert first.finish("a", identifier, digest, _fill(b"third"), _any) == (digest, 18)
    assert store.repository("a").blob_size(digest) == 18


def test_algorithm_that_was_not_announced(store: Store) -> None:
    """Chunks hashed by sha256 and finished under sha512 are verified by that."""
    uploads = Uploads(store)
    identifier = uploads.begin("a")
    uploads.append("a", identifier, _fill(b"longer"), _any)
    digest = digest_of(b"longer digest", "sha512")
    assert uploads.finish("a", identifier, digest, _fill(b" digest"), _any) == (digest, 13)
    identifier = uploads.begin("a")
    with pytest.raises(BadDigest):
        uploads.finish("a", identifier, digest, _fill(b"another"), _any)
    with pytest.raises(UploadUnknown):
        uploads.size("a", identifier)


def test_one_writer_at_a_time(store: Store) -> None:
    """A second request for the same upload is told so."""
    uploads = Uploads(store)
    identifier = uploads.begin("a")

    def intrude(buffer: memoryview) -> int:
        del buffer
        with pytest.raises(BadUpload) as caught:
            uploads.append("a", identifier, _fill(b"x"), _any)
        assert caught.value.status == 409
        return 0

    uploads.append("a", identifier, intrude, _any)
    assert uploads.append("a", identifier, _fill(b"x"), _any) == 1


def test_purge(store: Store, tmp_path: Path) -> None:
    """Uploads that were begun and last added to long ago go, others stay."""
    uploads = Uploads(store)
    old, young = uploads.begin("a/b"), uploads.begin("a")
    root = tmp_path / "docker/registry/v2/repositories"
    (root / f"a/b/_uploads/{old}/startedat").write_text("2020-01-01T00:00:00Z")
    assert uploads.purge(3600) == []
    os.utime(root / f"a/b/_uploads/{old}/data", (1e9, 1e9))
    assert uploads.purge(3600, dry=True) == [f"a/b/{old}"]
    assert uploads.size("a/b", old) == 0
    assert uploads.purge(3600) == [f"a/b/{old}"]
    with pytest.raises(UploadUnknown):
        uploads.size("a/b", old)
    assert uploads.size("a", young) == 0


def test_staging_of_a_killed_process(tmp_path: Path) -> None:
    """What has been in staging for a day is removed at the next start, the rest is left alone."""
    FilesystemDriver(str(tmp_path)).close()
    for name, age in (("old", STALE_SECONDS + 60), ("young", 60)):
        path = tmp_path / ".staging" / name
        path.mkdir()
        (path / "x").touch()
        os.utime(path, (time.time() - age, time.time() - age))
    FilesystemDriver(str(tmp_path)).close()
    assert os.listdir(tmp_path / ".staging") == ["young"]


def test_driver_contract(tmp_path: Path) -> None:
    """Files and directories as ``storage.Driver`` has them."""
    driver = FilesystemDriver(str(tmp_path))
    driver.write("a/b/one", b"1")
    driver.write("a/b/one", b"22")
    driver.write("a/two", b"")
    assert driver.read("a/b/one") == b"22"
    assert sorted(driver.list("a")) == ["b", "two"]
    assert {path: stat.size for path, stat in driver.walk("a")} == {"a/b/one": 2, "a/two": 0}
    assert driver.stat("a").directory
    with driver.open("a/b/one", 1) as reader:
        driver.delete("a")
        buffer = memoryview(bytearray(10))
        assert (reader.size, reader.readinto(buffer), bytes(buffer[:1])) == (2, 1, b"2")
    for call in (driver.read, driver.stat, driver.list, driver.delete, driver.open):
        with pytest.raises(PathMissing):
            call("a/b/one")
    assert list(driver.walk("a")) == []
    with driver.append("up/data") as writer:
        writer.write(memoryview(b"abc"))
    with driver.append("up/data") as writer:
        assert writer.size == 3
        writer.write(memoryview(b"def"))
        writer.publish("blobs/x/data")
    assert driver.read("blobs/x/data") == b"abcdef"
    with pytest.raises(PathMissing):
        driver.stat("up/data")
    for path in ("../escape", "/etc/passwd", "a/../../b"):
        with pytest.raises((OSError, PathMissing)):
            driver.read(path)
    driver.close()
