"""The parts that a pull is made of, each by itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.transfer.repositories import INDEX, Repository
from wherry.content.partials import AGE_MAX_NS, kept
from wherry.content.store import ContentStore
from wherry.diff.errors import Stopped
from wherry.engine.images.pulling import pull_name
from wherry.lib.errors import InvalidArgument, NotFound, WherryError
from wherry.oci.digest import Digest
from wherry.oci.platform import parse_platform
from wherry.transfer.growing import Growing, Reader, StopReading
from wherry.transfer.page import page_url
from wherry.transfer.resolve import resolve
from wherry.transfer.shared import Jobs

# --- names


@pytest.mark.parametrize(
    ("image", "tag", "stored"),
    [
        ("busybox", "1", "docker.io/library/busybox:1"),
        ("busybox", "", "docker.io/library/busybox"),
        ("busybox:", "", "docker.io/library/busybox"),
        ("r.test:5000/a/b", f"sha256:{'a' * 64}", f"r.test:5000/a/b@sha256:{'a' * 64}"),
        (f"a@sha256:{'a' * 64}", "", f"docker.io/library/a@sha256:{'a' * 64}"),
    ],
)
def test_name_and_tag_make_one_reference(image: str, tag: str, stored: str) -> None:
    assert str(pull_name(image, tag)) == stored


@pytest.mark.parametrize(("image", "tag"), [("A", "1"), ("a", "-x"), ("a", "sha256:zz"), ("", "")])
def test_what_is_no_name_is_refused(image: str, tag: str) -> None:
    with pytest.raises(InvalidArgument):
        pull_name(image, tag)


def test_a_url_without_a_scheme_is_http() -> None:
    assert (page_url("host/x.tar"), page_url("https://h/x")) == ("http://host/x.tar", "https://h/x")


# --- what a tag leads to


def _at(repository: Repository, platform: str = "linux/amd64", tag: str = "1") -> str:
    source = repository.bound(threading.Event())
    return resolve(source, source.manifest(tag), parse_platform(platform)).manifest.digest


def _for(descriptor: dict[str, object], architecture: str, variant: str = "") -> dict[str, object]:
    return {**descriptor, "platform": {"os": "linux", "architecture": architecture, "variant": variant}}


def test_the_nearest_platform_is_chosen() -> None:
    repository = Repository()
    images = [repository.image("", [], author=str(number)) for number in range(4)]
    repository.index(
        "1",
        [_for(images[0], "386"), _for(images[1], "arm", "v6"), _for(images[2], "arm", "v7"), _for(images[3], "arm64")],
    )
    assert _at(repository, "linux/amd64") == images[0]["digest"]
    assert _at(repository, "linux/arm") == images[2]["digest"]
    assert _at(repository, "linux/arm/v6") == images[1]["digest"]
    assert _at(repository, "linux/arm64/v8") == images[3]["digest"]
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        _at(repository, "linux/s390x")


def test_an_index_of_indexes_is_followed_but_not_for_ever() -> None:
    repository = Repository()
    inner = repository.image("", [])
    for _ in range(3):
        inner = repository.index("1", [inner])
    assert _at(repository)
    for _ in range(10):
        inner = repository.index("1", [inner])
    with pytest.raises(InvalidArgument, match="nested"):
        _at(repository)


def test_an_index_that_leads_back_to_itself_is_refused() -> None:
    """No digest can be made so; a registry that lies about digests must not keep us busy all the same."""
    repository = Repository()
    digest = f"sha256:{'a' * 64}"
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"digest": digest, "size": 1}]}).encode()
    loop = type(next(iter(_some(repository).manifests.values())))(INDEX, digest, raw)
    repository.manifests.update({"1": loop, digest: loop})
    with pytest.raises(InvalidArgument, match="refers to itself"):
        _at(repository)


def _some(repository: Repository) -> Repository:
    repository.image("x", [])
    return repository


@pytest.mark.parametrize(
    ("media_type", "words"),
    [
        ("application/vnd.oci.empty.v1+json", "unsupported media type application/vnd.oci.empty"),
        ("application/vnd.cncf.helm.config.v1+json", "unsupported media type application/vnd.cncf.helm"),
        ("application/vnd.docker.plugin.v1+json", "Encountered remote .*plugin.* when fetching"),
    ],
)
def test_artifacts_are_refused_in_words(media_type: str, words: str) -> None:
    repository = Repository()
    config = repository.put(b"{}", media_type)
    kind = "application/vnd.oci.image.manifest.v1+json"
    repository.tag("1", {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [config]})
    with pytest.raises(InvalidArgument, match=words):
        _at(repository)


@settings(max_examples=150, deadline=None)
@given(
    raw=st.binary(max_size=200)
    | st.builds(
        json.dumps,
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["schemaVersion", "config", "layers", "digest", "size", "manifests", "mediaType"]),
                    inner,
                )
            ),
            max_leaves=12,
        ),
    ).map(str.encode),
    kind=st.sampled_from([INDEX, "application/vnd.oci.image.manifest.v1+json", "x"]),
)
def test_whatever_a_registry_sends_is_refused_in_words(raw: bytes, kind: str) -> None:
    repository = _some(Repository())
    fetched = type(repository.manifests["x"])
    repository.manifests["1"] = fetched(kind, f"sha256:{'b' * 64}", raw)
    with pytest.raises(WherryError):
        _at(repository)


# --- reading a blob while it comes


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.binary(min_size=1, max_size=5000), max_size=20), sizes=st.integers(1, 4000))
def test_a_growing_blob_is_read_whole(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], sizes: int
) -> None:
    store = ContentStore(tmp_path_factory.mktemp("content"))
    store.recover({})
    blob = Growing()
    got: list[bytes] = []
    stop = StopReading(blob)

    def read() -> None:
        reader = Reader(blob, stop)
        while piece := reader.read(sizes):
            got.append(piece)

    thread = threading.Thread(target=read)
    thread.start()
    with store.stage() as staged:
        blob.begin(staged.path)
        for piece in pieces:
            staged.write(piece)
            blob.grew(staged.size)
        blob.end()
        thread.join()
        blob.close()
    assert b"".join(got) == b"".join(pieces)


@pytest.mark.parametrize("how", ["broken", "stopped"])
def test_a_waiting_reader_is_let_go(how: str) -> None:
    blob = Growing()
    stop = StopReading(blob)
    raised: list[type[BaseException]] = []

    def read() -> None:
        try:
            Reader(blob, stop).read(1)
        except Stopped as error:
            raised.append(type(error))

    thread = threading.Thread(target=read)
    thread.start()
    if how == "broken":
        blob.end(broken=True)
    else:
        stop.set()
    thread.join(5)
    assert raised == [Stopped]


# --- sharing


class Work:
    def __init__(self, log: list[str], fault: Exception | None = None) -> None:
        self.log = log
        self.fault = fault
        self.go = asyncio.Event()

    async def run(self) -> None:
        self.log.append("run")
        await self.go.wait()
        if self.fault is not None:
            raise self.fault

    async def drop(self) -> None:
        self.log.append("drop")


async def test_work_is_done_once_and_dropped_with_the_last_holder() -> None:
    log: list[str] = []
    jobs: Jobs[Work] = Jobs()
    first, second = jobs.hold("k", lambda: Work(log)), jobs.hold("k", lambda: Work(log))
    assert (first.owner, second.owner, first.job is second.job) == (True, False, True)
    first.job.go.set()
    await first.done()
    await first.release()
    assert log == ["run"]
    third = second.again()
    await second.release()
    await second.release()
    assert log == ["run"]
    await third.release()
    assert log == ["run", "drop"]


async def test_work_without_holders_is_cancelled() -> None:
    log: list[str] = []
    jobs: Jobs[Work] = Jobs()
    held = jobs.hold("k", lambda: Work(log))
    await asyncio.sleep(0)
    await held.release()
    assert (held.task.cancelled(), log) == (True, ["run", "drop"])
    assert jobs.hold("k", lambda: Work(log)).owner


async def test_failed_work_is_begun_anew() -> None:
    log: list[str] = []
    jobs: Jobs[Work] = Jobs()
    held = jobs.hold("k", lambda: Work(log, ValueError()))
    held.job.go.set()
    with pytest.raises(ValueError):  # noqa: PT011
        await held.done()
    other = jobs.hold("k", lambda: Work(log))
    assert other.owner
    assert other.job is not held.job
    await held.release()
    await other.release()


# --- what a crash leaves


def _partial(ingest: Path, number: int, size: int = 10) -> Path:
    path = ingest / f"{number:064x}.partial"
    path.write_bytes(b"x" * size)
    return path


def test_only_young_named_partials_are_kept(tmp_path: Path) -> None:
    store = ContentStore(tmp_path)
    store.recover({})
    ingest = tmp_path / "ingest"
    young, old, empty = (_partial(ingest, number, size) for number, size in ((1, 10), (2, 10), (3, 0)))
    past = old.stat().st_mtime_ns - AGE_MAX_NS - 10**9
    os.utime(old, ns=(past, past))
    (ingest / "0123456789abcdef").write_bytes(b"x")
    (ingest / "x.partial").write_bytes(b"x")
    store.recover({})
    assert list(ingest.iterdir()) == [young]
    assert not empty.exists()
    assert store.strays() == []
    os.utime(young, ns=(past, past))
    assert store.strays() == [young]
    store.expire()
    assert list(ingest.iterdir()) == []


def test_all_partials_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        path = _partial(tmp_path, number, 4096)
        os.utime(path, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns - number))
    monkeypatch.setattr("wherry.content.partials.TOTAL_MAX", 9000)
    assert len(kept(tmp_path)) == 2


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=5000), there=st.integers(0, 6000), limit=st.integers(0, 6000))
def test_a_resumed_blob_is_hashed_from_its_beginning(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, there: int, limit: int
) -> None:

    root = tmp_path_factory.mktemp("content")
    store = ContentStore(root)
    store.recover({})
    digest = Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
    (root / "ingest" / f"{digest[7:]}.partial").write_bytes(data[:there] + b"!" * max(0, there - len(data)))
    with store.resume(digest) as blob:
        at = blob.rehash(min(limit, len(data)), lambda _: False)
        blob.write(data[at:])
        assert (blob.digest, blob.size) == (digest, len(data))
        with blob.open() as file:
            assert file.read() == data


def test_two_downloads_of_one_blob_have_two_files(tmp_path: Path) -> None:
    store = ContentStore(tmp_path)
    store.recover({})
    digest = Digest(f"sha256:{'a' * 64}")
    with store.resume(digest) as first, store.resume(digest) as second:
        assert first.path != second.path
