"""Pushing, against a registry in memory: what is asked, what is sent, in which order, and what is remembered."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.images import config_of, docker_archive, small_layer
from unit.transfer.archives import load, oci_of, open_store
from wherry.diff.errors import Stopped
from wherry.lib.errors import Internal, Unauthorized
from wherry.oci.digest import digest_of
from wherry.oci.reference import Reference, parse_reference
from wherry.state import blob_source
from wherry.state.image import ImageDocument
from wherry.transfer import push_layer
from wherry.transfer.packing import packed
from wherry.transfer.progress import Message
from wherry.transfer.push import Pushed, Pusher
from wherry.transfer.remote.stop import Stop
from wherry.transfer.store import Arrival, ImageStore

pytestmark = pytest.mark.root

ONE, TWO = small_layer(a="1"), small_layer(big="x" * 700_000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async with open_store(tmp_path / "root") as store:
        yield store


class Memory:
    """A registry of several repositories; ``calls`` says what was asked of one."""

    def __init__(self, name: str = "reg.example:5000/app", blobs: dict[str, dict[str, bytes]] | None = None) -> None:
        self.name: Reference = parse_reference(name)
        self.repositories = blobs if blobs is not None else {}
        self.blobs = self.repositories.setdefault(self.name.path, {})
        self.manifests: dict[str, bytes] = {}
        self.order: list[str] = []
        self.denies = ""
        self.failures = 0
        self.hold: threading.Event | None = None

    def has_blob(self, digest: str) -> bool:
        if self.denies:
            raise Unauthorized(self.denies)
        self.order.append(f"head {digest}")
        return digest in self.blobs

    def mount_blob(self, digest: str, source: Reference) -> bool:
        found = self.repositories.get(source.path, {}).get(digest)
        if found is not None:
            self.blobs[digest] = found
        return found is not None

    def upload(
        self,
        digest: str,
        size: int,
        file: BinaryIO,
        progress: Callable[[int], None],
        *,
        on_retry: Callable[[int], None] | None = None,
    ) -> None:
        if self.denies:
            raise Unauthorized(self.denies)
        assert on_retry is not None
        on_retry(1)
        if self.hold is not None:
            self.hold.wait()
            raise Stopped
        data = file.read()
        assert (len(data), digest_of(data)) == (size, digest)
        progress(size)
        self.order.append(f"put {digest}")
        self.blobs[digest] = data

    def upload_stream(self, chunks: Iterable[bytes], progress: Callable[[int], None]) -> tuple[str, int]:
        data = b"".join(chunks)
        progress(len(data))
        if self.failures:
            self.failures -= 1
            raise Internal("received unexpected HTTP status: 500 Internal Server Error")
        digest = digest_of(data)
        self.order.append(f"stream {digest}")
        self.blobs[digest] = data
        return digest, len(data)

    def put_manifest(self, reference: str, media_type: str, raw: bytes) -> str:
        for key in ("layers", "manifests"):
            for one in json.loads(raw).get(key, []):
                assert one["digest"] in self.blobs or one["digest"] in self.manifests, "not there yet"
        self.manifests[reference] = self.manifests[digest_of(raw)] = raw
        assert json.loads(raw).get("mediaType", media_type) == media_type
        return digest_of(raw)


def document(store: ImageStore, image_id: str) -> ImageDocument:
    found = store.images.get(image_id)
    assert found is not None
    return found


async def push(store: ImageStore, image_id: str, target: Memory, **how: bool) -> tuple[Pushed, list[Message]]:
    said: list[Message] = []
    pusher = Pusher(store, 2)
    try:
        pushed = await pusher.push(document(store, image_id), "1", target, Stop(), said.append, **how)
    finally:
        pusher.close()
    return pushed, said


async def test_plain_layers_are_packed_on_the_way(store: ImageStore) -> None:
    """Docker's schema 2, gzip without name or time; what was sent is remembered, and found there the next time."""
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE, TWO]))
    target = Memory()
    pushed, said = await push(store, loaded.image_id, target)
    manifest = json.loads(target.manifests["1"])
    assert pushed.digest == digest_of(target.manifests["1"])
    assert manifest["config"]["digest"] == loaded.image_id
    assert [gzip.decompress(target.blobs[one["digest"]]) for one in manifest["layers"]] == [ONE, TWO]
    assert all(target.blobs[one["digest"]][4:8] == bytes(4) for one in manifest["layers"])
    assert {one.status for one in said} == {"Preparing", "Pushing", "Pushed"}, "nothing is said of the config"
    assert [one.id for one in said[:2]] == [digest_of(layer)[7:19] for layer in (TWO, ONE)], "the top layer first"

    target.order.clear()
    again, said = await push(store, loaded.image_id, target)
    assert again == pushed
    assert {one.status for one in said} == {"Preparing", "Layer already exists"}
    assert not [call for call in target.order if not call.startswith("head")]


async def test_a_neighbour_lends_its_blobs(store: ImageStore) -> None:
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE, TWO]))
    shared: dict[str, dict[str, bytes]] = {}
    await push(store, loaded.image_id, Memory("reg.example:5000/team/app", shared))
    _, said = await push(store, loaded.image_id, Memory("reg.example:5000/team/other", shared))
    assert {one.status for one in said} == {"Preparing", "Mounted from team/app"}
    _, said = await push(store, loaded.image_id, Memory("elsewhere.example/app"))
    assert {one.status for one in said} == {"Preparing", "Pushing", "Pushed"}


@pytest.mark.parametrize("nested", [False, True])
async def test_what_came_with_a_manifest_keeps_its_bytes(store: ImageStore, *, nested: bool) -> None:
    """An OCI layout, its layers packed as they came; of an index that is not all here only the image is pushed."""
    layers = [ONE, TWO]
    archive = oci_of(config_of(layers), [gzip.compress(layer, 9) for layer in layers], name="x:1", nested=nested)
    (loaded,) = await load(store, archive)
    image, target = document(store, loaded.image_id), Memory()
    assert bool(image.index) is nested
    pushed, _ = await push(store, loaded.image_id, target)
    assert pushed.digest == image.manifest == digest_of(target.manifests["1"])
    assert {layer.digest for layer in image.layers} <= set(target.blobs)


async def test_an_index_whose_parts_are_here_is_pushed(store: ImageStore) -> None:
    """The manifests first, each by its digest, then the index under the tag; one platform of it on demand."""
    layers = [ONE, TWO]
    (loaded,) = await load(store, oci_of(config_of(layers), layers, name="x:1"))
    image = document(store, loaded.image_id)
    media = "application/vnd.oci.image"
    one = {"mediaType": f"{media}.manifest.v1+json", "digest": image.manifest, "size": 1}
    raw = json.dumps({"schemaVersion": 2, "mediaType": f"{media}.index.v1+json", "manifests": [one]}).encode()
    indexed = msgspec.structs.replace(image, index=digest_of(raw))
    await store.commit(Arrival(image=indexed, blobs=[store.content.put(raw)]))
    target = Memory()
    pushed, _ = await push(store, loaded.image_id, target)
    assert pushed.digest == digest_of(raw)
    assert image.manifest in target.manifests
    alone, _ = await push(store, loaded.image_id, Memory(), whole=False)
    assert alone.digest == image.manifest


async def test_a_refusal_is_told_and_ends_it(store: ImageStore) -> None:
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE, TWO]))
    target = Memory()
    target.denies = "denied: requested access to the resource is denied"
    with pytest.raises(Unauthorized, match="requested access"):
        await push(store, loaded.image_id, target)
    assert not target.manifests


async def test_a_registry_that_fails_is_tried_again(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer packed on the way is sent from its beginning again, and the client sees the wait; not for ever."""
    monkeypatch.setattr(push_layer, "RETRY_S", 1)
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE]))
    target = Memory()
    target.failures = 1
    _, said = await push(store, loaded.image_id, target)
    assert "Retrying in 1 second" in {one.status for one in said}
    monkeypatch.setattr(push_layer, "ATTEMPTS", 1)
    target = Memory("elsewhere.example/app")
    target.failures = 2
    with pytest.raises(Internal, match="500 Internal Server Error"):
        await push(store, loaded.image_id, target)


async def test_damage_is_not_pushed(store: ImageStore) -> None:
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE, TWO]))
    path = store.content.path(digest_of(TWO))
    path.write_bytes(TWO.replace(b"x", b"y", 1))
    target = Memory()
    with pytest.raises(Internal, match="is damaged"):
        await push(store, loaded.image_id, target)
    assert not target.manifests


async def test_giving_up_ends_every_thread(store: ImageStore) -> None:
    """Cancelled, it sets the stop and waits until the uploads have let go."""
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE, TWO]))
    target, stop = Memory(), Stop()
    target.hold = threading.Event()
    pusher = Pusher(store, 2)
    work = asyncio.ensure_future(pusher.push(document(store, loaded.image_id), "1", target, stop, lambda _: None))
    await asyncio.sleep(0.2)
    work.cancel()
    asyncio.get_running_loop().call_later(0.2, target.hold.set)
    with pytest.raises(asyncio.CancelledError):
        await work
    assert stop.is_set()
    assert target.hold.is_set(), "it did not wait"
    pusher.close()


async def test_sources_are_remembered(store: ImageStore) -> None:
    def change(connection: object) -> None:
        for number in range(3):
            blob_source.record(connection, "sha256:a", f"r.io/{number}", "sha256:d", 7)  # type: ignore[arg-type]
        blob_source.record(connection, "sha256:b", "r.io/0", "sha256:d", 8)  # type: ignore[arg-type]
        blob_source.forget(connection, "sha256:a", "r.io/1")  # type: ignore[arg-type]

    await store.database.write(change)
    assert blob_source.sources(store.database, "sha256:a") == ["r.io/2", "r.io/0"]
    assert blob_source.by_diff(store.database, "sha256:d")[0] == ("sha256:b", 8, "r.io/0")


@settings(max_examples=30)
@given(data=st.binary(max_size=5000), copies=st.integers(1, 500))
def test_packing_is_what_gunzip_undoes(data: bytes, copies: int) -> None:
    """Whatever the tar, however it was packed: the same bytes each time, and the tar again."""
    tar = b"tar" + data * copies
    diff_id = f"sha256:{hashlib.sha256(tar).hexdigest()}"
    seen: list[int] = []
    once = b"".join(packed(io.BytesIO(tar), diff_id=diff_id, advance=seen.append))
    again = b"".join(packed(io.BytesIO(gzip.compress(tar)), diff_id=diff_id, advance=lambda _: None))
    assert once == again
    assert gzip.decompress(once) == tar
    assert seen == sorted(seen)
    assert seen[-1] == len(tar)


def test_packing_the_wrong_tar_fails_before_its_end() -> None:
    pieces = packed(io.BytesIO(b"x" * 3_000_000), diff_id="sha256:" + "0" * 64, advance=lambda _: None)
    with pytest.raises(Internal, match="is damaged"):
        list(pieces)


def test_packing_that_nobody_reads_lets_go() -> None:
    before = threading.active_count()
    pieces = packed(io.BytesIO(bytes(50_000_000)), diff_id="sha256:" + "0" * 64, advance=lambda _: None)
    next(pieces)
    pieces.close()
    assert threading.active_count() == before
