"""Pulling: what is fetched once, what is shared, what is refused, and that a failure leaves nothing."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from support.images import small_layer
from unit.transfer.archives import EMPTY, leftovers, load, open_store
from unit.transfer.repositories import Repository, pull
from wherry.lib.errors import InvalidArgument, WherryError
from wherry.transfer.progress import Message
from wherry.transfer.pull import Puller
from wherry.transfer.store import ImageStore

pytestmark = pytest.mark.root
BASE, MIDDLE, TOP = (small_layer(**{name: name * 500}) for name in "abc")


class Shop:
    """A store and its puller."""

    def __init__(self, root: Path, store: ImageStore) -> None:
        self.root = root
        self.store = store
        self.puller = Puller(store, 3)

    async def nothing_left(self) -> bool:
        await self.puller.close()
        await self.store.collect()
        self.store.snapshots._removal.submit(lambda: None).result()
        return leftovers(self.root) == EMPTY

    def tree(self, image_id: str) -> dict[str, str]:
        document = self.store.images.get(image_id)
        assert document is not None
        found: dict[str, str] = {}
        for key in document.chain:
            for path in Path(self.store.snapshots.upper(key)).iterdir():
                found[path.name] = path.read_text()
        return found


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_store(tmp_path) as store:
        yield Shop(tmp_path, store)


async def test_an_image_comes_with_its_layers_manifest_and_source(shop: Shop) -> None:
    repository = Repository()
    top = repository.image("1", [BASE, MIDDLE])
    said: list[Message] = []
    done = await pull(shop.puller, repository, said=said)
    document = shop.store.images.get(done.image_id)
    assert document is not None
    assert done.updated
    assert (document.manifest, document.index) == (top["digest"], "")
    assert shop.tree(done.image_id) == {"a": "a" * 500, "b": "b" * 500}
    assert shop.store.content.read(document.manifest, 9999) == repository.manifests["1"].raw  # type: ignore[arg-type]
    rows = shop.store.database.read("SELECT digest, repository, diff_id FROM blob_source")
    assert {(layer.digest, "r.test/app", layer.diff_id) for layer in document.layers} == set(rows)
    words = [message.status for message in said if message.id == document.layers[1].digest[7:19]]
    assert [word for word in words if word != "Waiting"] == [
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]


@pytest.mark.parametrize("form", ["plain", "zstd", "chunked", "members"])
async def test_every_packing_is_read(shop: Shop, form: str) -> None:
    compressor = zstandard.ZstdCompressor()
    packed = {
        "plain": BASE,
        "zstd": compressor.compress(BASE),
        # zstd:chunked appends its table of contents as skippable frames.
        "chunked": compressor.compress(BASE) + b"\x50\x2a\x4d\x18\x08\0\0\0GNUlInUx",
        "members": gzip.compress(BASE[:1000]) + gzip.compress(BASE[1000:]),
    }[form]
    repository = Repository()
    repository.image("1", [BASE], packed=[packed])
    done = await pull(shop.puller, repository)
    assert shop.tree(done.image_id) == {"a": "a" * 500}


async def test_what_is_there_is_not_fetched_again(shop: Shop) -> None:
    repository = Repository()
    repository.image("1", [BASE, MIDDLE])
    repository.image("2", [BASE, TOP])
    await pull(shop.puller, repository)
    repository.asked.clear()
    again: list[Message] = []
    assert not (await pull(shop.puller, repository, said=again)).updated
    assert [len(repository.asked), again] == [1, []], "only the config is read"
    other: list[Message] = []
    done = await pull(shop.puller, repository, "r.test/app:2", said=other)
    assert (other[0].status, other[1].status) == ("Already exists", "Pulling fs layer")
    assert shop.tree(done.image_id) == {"a": "a" * 500, "c": "c" * 500}


async def test_a_loaded_image_is_completed_by_its_packed_layers(shop: Shop) -> None:
    """Its layers were loaded as plain tars; another image on them needs the registry's blobs, not their unpacking."""
    from support.images import docker_archive

    await load(shop.store, docker_archive(["x:1"], [BASE]))
    repository = Repository()
    repository.image("1", [BASE, TOP])
    said: list[Message] = []
    done = await pull(shop.puller, repository, said=said)
    document = shop.store.images.get(done.image_id)
    assert document is not None
    assert all(shop.store.has_blob(layer.digest) for layer in document.layers)  # type: ignore[arg-type]
    assert not any(message.status == "Extracting" and message.id == said[0].id for message in said)


async def test_a_blob_without_its_snapshot_is_unpacked_from_the_store(shop: Shop) -> None:
    repository = Repository()
    repository.image("1", [BASE])
    repository.image("2", [MIDDLE, BASE])
    await pull(shop.puller, repository)
    repository.asked.clear()
    done = await pull(shop.puller, repository, "r.test/app:2")
    base = hashlib.sha256(gzip.compress(BASE, 1, mtime=0)).hexdigest()
    assert f"sha256:{base}" not in {digest for digest, _ in repository.asked}
    assert shop.tree(done.image_id) == {"a": "a" * 500, "b": "b" * 500}


async def test_two_clients_share_one_download(shop: Shop) -> None:
    repository = Repository()
    repository.image("1", [BASE, MIDDLE])
    config = next(digest for digest, data in repository.blobs.items() if data.startswith(b"{"))
    done = await asyncio.gather(*(pull(shop.puller, repository) for _ in range(2)))
    assert done[0].image_id == done[1].image_id
    fetched = [digest for digest, _ in repository.asked if digest != config]
    assert len(fetched) == len(set(fetched)) == 2


async def test_it_goes_on_while_one_client_is_left_and_ends_with_the_last(shop: Shop) -> None:
    repository = Repository()
    repository.image("1", [BASE])
    said: list[Message] = []
    first, second = (asyncio.ensure_future(pull(shop.puller, repository, said=said)) for _ in range(2))
    repository.gate.clear()
    await asyncio.sleep(0.1)
    first.cancel()
    await asyncio.wait([first])
    repository.gate.set()
    assert (await second).updated

    other = Repository()
    other.image("2", [TOP])
    other.gate.clear()
    last = asyncio.ensure_future(pull(shop.puller, other, "r.test/app:2"))
    await asyncio.sleep(0.1)
    last.cancel()
    await asyncio.wait([last])
    assert leftovers(shop.root)["ingest"] == []


async def test_another_clients_bad_registry_does_no_harm(shop: Shop) -> None:
    """Both name the same registry and layer; the first one's bytes are wrong, the second fetches its own."""
    bad, good = Repository(), Repository()
    for repository in (bad, good):
        repository.image("1", [BASE])
    blob = gzip.compress(BASE, 1, mtime=0)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    bad.blobs[digest] = blob[:-1] + b"x"
    started = asyncio.ensure_future(pull(shop.puller, bad))
    held = asyncio.ensure_future(pull(shop.puller, good))
    with pytest.raises(InvalidArgument, match="filesystem layer verification failed"):
        await started
    assert (await held).updated


def _wrong(repository: Repository, part: str) -> None:
    layer = gzip.compress(BASE, 1, mtime=0)
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    repository.blobs[digest] = {"digest": layer[:-1] + b"x", "short": layer[:-5], "long": layer + b"x"}[part]


@pytest.mark.parametrize("part", ["digest", "short", "long"])
async def test_wrong_bytes_are_refused(shop: Shop, part: str) -> None:
    repository = Repository()
    repository.image("1", [BASE, MIDDLE])
    _wrong(repository, part)
    with pytest.raises(InvalidArgument, match="filesystem layer verification failed for digest sha256:"):
        await pull(shop.puller, repository)
    assert await shop.nothing_left()


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"not packed " * 100, "failed to register layer: Error processing tar file.exit status 1.: archive/tar: inv"),
        (gzip.compress(BASE, mtime=0)[:-20], "failed to register layer: Error processing tar file.unexpected EOF.: $"),
        (gzip.compress(b"x" * 3000, mtime=0), "archive/tar: invalid tar header"),
        (gzip.compress(MIDDLE, mtime=0), "layers from manifest don't match image configuration"),
        (MIDDLE, "layers from manifest don't match image configuration"),
    ],
    ids=["garbage", "cut", "no tar", "another", "another, plain"],
)
async def test_bad_layers_are_refused_and_leave_nothing(shop: Shop, packed: bytes, words: str) -> None:
    repository = Repository()
    repository.image("1", [MIDDLE, BASE], packed=[gzip.compress(MIDDLE), packed])
    with pytest.raises(InvalidArgument, match=words):
        await pull(shop.puller, repository)
    assert await shop.nothing_left()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"os": "windows"}, 'image operating system "windows" cannot be used on this platform'),
        ({"rootfs": {"type": "layers", "diff_ids": []}}, "layers from manifest don't match image configuration"),
    ],
)
async def test_images_that_cannot_run_are_refused(shop: Shop, config: dict[str, Any], words: str) -> None:
    repository = Repository()
    repository.image("1", [BASE], **config)
    with pytest.raises(WherryError, match=words):
        await pull(shop.puller, repository)
    assert await shop.nothing_left()


async def test_a_full_disk_leaves_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository()
    repository.image("1", [BASE])

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("wherry.content.ingest.Staged.write", full)
    with pytest.raises(WherryError, match="no space left on device"):
        await pull(shop.puller, repository)
    monkeypatch.undo()
    assert await shop.nothing_left()


async def test_a_partial_of_a_killed_daemon_is_continued(shop: Shop) -> None:
    repository = Repository()
    repository.image("1", [BASE])
    blob = gzip.compress(BASE, 1, mtime=0)
    digest = hashlib.sha256(blob).hexdigest()
    partial = shop.root / "content/ingest" / f"{digest}.partial"
    partial.write_bytes(blob[:50])
    await pull(shop.puller, repository)
    assert (f"sha256:{digest}", 50) in repository.asked
    assert leftovers(shop.root)["ingest"] == []


async def test_a_torn_partial_is_fetched_from_the_start(shop: Shop) -> None:
    repository = Repository()
    repository.image("1", [BASE])
    blob = gzip.compress(BASE, 1, mtime=0)
    digest = hashlib.sha256(blob).hexdigest()
    (shop.root / "content/ingest" / f"{digest}.partial").write_bytes(b"\0" * 50)
    done = await pull(shop.puller, repository)
    assert [offset for asked, offset in repository.asked if asked == f"sha256:{digest}"] == [50, 0]
    assert shop.tree(done.image_id) == {"a": "a" * 500}


async def test_index_and_attestation_are_kept_as_they_came(shop: Shop) -> None:
    repository = Repository()
    mine = {**repository.image("", [BASE]), "platform": {"os": "linux", "architecture": "amd64"}}
    other = {**repository.image("", [TOP]), "platform": {"os": "linux", "architecture": "s390x"}}
    proof = {
        **repository.image("", [MIDDLE]),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": mine["digest"],
        },
    }
    index = repository.index("1", [other, mine, proof])
    done = await pull(shop.puller, repository)
    document = shop.store.images.get(done.image_id)
    assert document is not None
    assert (document.manifest, document.index) == (mine["digest"], index["digest"])
    assert proof["digest"] in document.attached
    assert all(shop.store.has_blob(digest) for digest in document.blobs)  # type: ignore[arg-type]
    # The manifest pulled by itself later does not make it forget the index.
    await pull(shop.puller, repository, f"r.test/app@{mine['digest']}")
    after = shop.store.images.get(done.image_id)
    assert after is not None
    assert (after.index, after.attached) == (document.index, document.attached)
