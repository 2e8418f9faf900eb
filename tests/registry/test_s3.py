"""The S3 driver keeps the storage contract against an independent S3 server."""

from __future__ import annotations

import hashlib
import itertools
import os
import urllib.request
from collections.abc import Iterator

import pytest

from registry.s3_server import s3_server
from wherry.lib.errors import InvalidArgument
from wherry.registry.errors import NotServing
from wherry.registry.s3 import S3Driver
from wherry.registry.s3_settings import PART_MIN, parse_s3
from wherry.registry.storage import PathMissing, Reader

MIB = 1024 * 1024
_count = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, object]]:
    with s3_server() as options:
        yield options


@pytest.fixture
def driver(server: dict[str, object]) -> Iterator[S3Driver]:
    """A driver below a root of its own."""
    made = S3Driver.from_options({**server, "rootdirectory": f"/root{next(_count)}", "chunksize": PART_MIN})
    yield made
    made.close()


def _all(reader: Reader) -> bytes:
    buffer, found = memoryview(bytearray(MIB)), b""
    with reader:
        while count := reader.readinto(buffer):
            found += buffer[:count]
    return found


def _append(driver: S3Driver, path: str, data: bytes) -> int:
    with driver.append(path) as writer:
        for start in range(0, len(data), MIB):
            writer.write(memoryview(data)[start : start + MIB])
        return writer.size


def test_small_files(driver: S3Driver) -> None:
    """What was written is read, replaced, told in size, and missed once deleted."""
    driver.write("a/link", b"one")
    driver.write("a/link", b"three")
    assert driver.read("a/link") == b"three"
    stat = driver.stat("a/link")
    assert (stat.size, stat.directory) == (5, False)
    assert stat.modified > 1.6e9
    driver.delete("a/link")
    for missing in (driver.read, driver.stat, driver.open, driver.list, driver.delete):
        with pytest.raises(PathMissing):
            missing("a/link")
    driver.check()


def test_directories_are_what_files_imply(driver: S3Driver) -> None:
    """list names what is directly below, walk every file, delete takes all; a sibling with a longer name stays."""
    for path in ("r/x/1", "r/x/2", "r/y", "r-more/z"):
        driver.write(path, b"0123")
    assert sorted(driver.list("r")) == ["x", "y"]
    assert sorted(driver.list("")) == ["r", "r-more"]
    assert driver.stat("r/x").directory
    assert sorted((path, stat.size) for path, stat in driver.walk("r")) == [("r/x/1", 4), ("r/x/2", 4), ("r/y", 4)]
    assert list(driver.walk("nothing")) == []
    driver.delete("r")
    assert [path for path, _ in driver.walk("")] == ["r-more/z"]


def test_more_than_a_page(server: dict[str, object]) -> None:
    """More keys than one answer has are listed and deleted whole."""
    driver = S3Driver.from_options({**server, "rootdirectory": f"/root{next(_count)}"}, page=3)
    for number in range(10):
        driver.write(f"many/{number}", b"")
    assert len(driver.list("many")) == 10
    driver.delete("many")
    assert list(driver.walk("many")) == []


def test_reads_from_an_offset(driver: S3Driver) -> None:
    """A reader begins where it is told and knows the size of the whole."""
    driver.write("f", bytes(range(256)))
    reader = driver.open("f", 250)
    assert (reader.size, _all(reader)) == (256, bytes(range(250, 256)))
    assert _all(driver.open("f", 256)) == b""
    assert _all(driver.open("f")) == bytes(range(256))


@pytest.mark.parametrize(
    "sizes", [[0], [10], [10, 20], [PART_MIN], [3 * PART_MIN + 1, 7, PART_MIN], [6 * MIB, 6 * MIB]]
)
def test_an_upload_goes_on_and_is_published(driver: S3Driver, sizes: list[int]) -> None:
    """Pieces appended by separate writers, as by separate requests, are one file at the target and nowhere else."""
    pieces = [os.urandom(size) for size in sizes]
    size = 0
    for piece in pieces:
        assert _append(driver, "up/data", piece) == (size := size + len(piece))
        assert driver.stat("up/data").size == size
    with driver.append("up/data") as writer:
        assert writer.size == size
        writer.publish("blobs/data")
    assert hashlib.sha256(_all(driver.open("blobs/data"))).digest() == hashlib.sha256(b"".join(pieces)).digest()
    assert [path for path, _ in driver.walk("")] == ["blobs/data"]


def test_one_writer_publishes_what_it_wrote(driver: S3Driver) -> None:
    """Written and published at once, little or much, over a file that was there."""
    for size in (100, 2 * PART_MIN + 5):
        data = os.urandom(size)
        with driver.append("up/data") as writer:
            writer.write(memoryview(data))
            writer.publish("blob")
        assert _all(driver.open("blob")) == data
        assert [path for path, _ in driver.walk("")] == ["blob"]


def test_large_files_are_copied_in_parts(server: dict[str, object]) -> None:
    """Publishing beyond the threshold copies by ranges and gives the same bytes."""
    limits = {"chunksize": PART_MIN, "multipartcopythresholdsize": PART_MIN, "multipartcopychunksize": PART_MIN}
    driver = S3Driver.from_options({**server, **limits, "rootdirectory": f"/root{next(_count)}"})
    data = os.urandom(2 * PART_MIN + 17)
    _append(driver, "up", data)
    with driver.append("up") as writer:
        writer.publish("blob")
    assert _all(driver.open("blob")) == data
    driver.close()


def test_a_client_is_sent_to_the_store(driver: S3Driver, server: dict[str, object]) -> None:
    """The address of a redirect gives the bytes to anybody; with redirects off there is none."""
    driver.write("blob", b"bytes of a blob")
    address = driver.redirect("blob", "GET")
    assert address is not None
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == b"bytes of a blob"
    assert S3Driver.from_options(server, redirects=False).redirect("blob", "GET") is None


def test_a_store_that_is_not_there() -> None:
    """The driver says so, after its attempts, as the registry's own error."""
    options = {"regionendpoint": "http://127.0.0.1:1", "region": "r", "bucket": "b", "accesskey": "a", "secretkey": "s"}
    driver = S3Driver.from_options(options)
    driver._bucket._sleep = lambda _: None
    with pytest.raises(NotServing, match="refused"):
        driver.check()


@pytest.mark.parametrize(
    ("options", "host", "base"),
    [
        ({"region": "eu-west-1", "bucket": "b"}, "b.s3.eu-west-1.amazonaws.com", ""),
        ({"region": "eu-west-1", "bucket": "b.c"}, "s3.eu-west-1.amazonaws.com", "/b.c"),
        ({"region": "r", "bucket": "b", "forcepathstyle": "true"}, "s3.r.amazonaws.com", "/b"),
        ({"region": "r", "bucket": "b", "regionendpoint": "minio:9000", "secure": False}, "minio:9000", "/b"),
        ({"region": "r", "bucket": "b", "usedualstack": True}, "b.s3.dualstack.r.amazonaws.com", ""),
    ],
)
def test_where_the_bucket_is(options: dict[str, object], host: str, base: str) -> None:
    """Host and path by the keys of Docker's registry."""
    settings = parse_s3({**options, "accesskey": "a", "secretkey": "s"}, {})
    assert (settings.authority, settings.base) == (host, base)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": "r"}, "No bucket parameter"),
        ({"bucket": "b"}, "No region parameter"),
        ({"region": "r", "bucket": "b"}, "accesskey"),
        ({"region": "r", "bucket": "b", "accesskey": "a", "secretkey": "s", "chunksize": 5}, "chunksize 5"),
        ({"region": "r", "bucket": "b", "color": "red"}, "'color'"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, object], words: str) -> None:
    """Each is refused by name."""
    with pytest.raises(InvalidArgument, match=words):
        parse_s3(options, {})
