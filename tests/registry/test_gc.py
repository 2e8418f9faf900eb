"""Garbage collection keeps what is needed, takes the rest, and never what a push is about to use."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.registry import layout, names
from wherry.registry.documents import Document
from wherry.registry.filesystem import FilesystemDriver
from wherry.registry.gc_command import collect_offline
from wherry.registry.gc_schedule import GcSettings, Schedule, parse_gc
from wherry.registry.gc_sweep import Collected, Collector
from wherry.registry.store import Store

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(FilesystemDriver(str(tmp_path / "root"))) as driver:
        yield Store(driver)


def put_blob(store: Store, name: str, data: bytes) -> str:
    """As a finished upload does it."""
    digest = names.digest_of(data)
    with store.gate.shared():
        store.gate.note(digest)
        with store.driver.append(f"{layout.upload(name, digest[7:])}/data") as writer:
            writer.write(memoryview(data))
            writer.publish(layout.blob_data(digest))
        store.repository(name).link_blob(digest)
    return digest


def put_manifest(store: Store, name: str, body: dict[str, object], tag: str = "") -> str:
    """As the PUT of a manifest does it; raises KeyError when something that it names is not there."""
    raw = json.dumps(body).encode()
    digest = names.digest_of(raw)
    document = Document(raw)
    repository = store.repository(name)
    with store.gate.shared():
        for one in document.blobs:
            if repository.blob_size(one.digest) is None:
                raise KeyError(one.digest)
        for one in document.manifests:
            if repository.manifest(one.digest) is None:
                raise KeyError(one.digest)
            store.gate.note(one.digest)
        repository.put_manifest(digest, raw)
        store.gate.note(digest)
        if tag:
            repository.tag(tag, digest)
    return digest


def descriptor(digest: str, kind: str = "application/octet-stream") -> dict[str, object]:
    return {"mediaType": kind, "digest": digest, "size": 1}


def image(store: Store, name: str, seed: str, tag: str = "", subject: str = "") -> tuple[str, set[str]]:
    """One image of its own config and layer: its digest, and those of its blobs."""
    blobs = [put_blob(store, name, f"{seed} {part}".encode()) for part in ("config", "layer")]
    body: dict[str, object] = {
        "schemaVersion": 2, "mediaType": OCI, "config": descriptor(blobs[0]), "layers": [descriptor(blobs[1])],
    }  # fmt: skip
    if subject:
        body["subject"] = descriptor(subject, OCI)
    return put_manifest(store, name, body, tag), set(blobs)


def index(store: Store, name: str, *manifests: str, tag: str = "") -> str:
    listed = [descriptor(one, OCI) for one in manifests]
    return put_manifest(store, name, {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, tag)


def blobs_of(store: Store) -> set[str]:
    return {f"sha256:{path.split('/')[-2]}" for path, _ in store.driver.walk(layout.BLOBS)}


def collect(store: Store, *, delete_untagged: bool = False, dry_run: bool = False) -> Collected:
    return Collector(store, grace=0).collect(delete_untagged=delete_untagged, dry_run=dry_run)


def test_what_manifests_name_stays(store: Store) -> None:
    """Untagged manifests too; a blob that no manifest names goes with its links."""
    kept, blobs = image(store, "a", "one")
    lonely = put_blob(store, "a/b", b"nobody's")
    outcome = collect(store)
    assert blobs_of(store) == {kept, *blobs}
    assert (outcome.blobs, outcome.manifests, outcome.bytes) == (1, 0, 8)
    assert store.repository("a/b").blob(lonely) is None


def test_a_deleted_manifest_takes_its_own_along(store: Store) -> None:
    """What it shared with another image stays."""
    first, first_blobs = image(store, "a", "one", "t")
    config, layer = put_blob(store, "b", b"config of b"), put_blob(store, "b", b"one layer")
    body = {"schemaVersion": 2, "mediaType": OCI, "config": descriptor(config), "layers": [descriptor(layer)]}
    shared = put_manifest(store, "b", body)
    store.repository("a").delete_manifest(first)
    collect(store)
    assert blobs_of(store) == {shared, config, layer}
    assert first_blobs - blobs_of(store) == {names.digest_of(b"one config")}


def test_a_dry_run_changes_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would go, in the words of Docker's registry."""
    untagged, blobs = image(store, "a", "one")
    lonely = put_blob(store, "a", b"nobody's")
    outcome = collect_offline(store.driver, dry_run=True, delete_untagged=True)
    assert blobs_of(store) == {untagged, lonely, *blobs}
    assert (outcome.blobs, outcome.manifests) == (4, 1)
    said = capsys.readouterr().out
    assert f"a: manifest eligible for deletion: {untagged}\n" in said
    assert "0 blobs marked, 4 blobs and 1 manifests eligible for deletion\n" in said
    assert f"blob eligible for deletion: {lonely}\n" in said


def test_delete_untagged_keeps_what_a_tag_leads_to(store: Store) -> None:
    """An index keeps its manifests, nested too, and their referrers; distribution's registry deleted these."""
    amd, amd_blobs = image(store, "a", "amd64")
    arm, arm_blobs = image(store, "a", "arm64")
    inner = index(store, "a", arm)
    outer = index(store, "a", amd, inner, tag="latest")
    signature, signature_blobs = image(store, "a", "signature", subject=arm)
    of_signature, of_signature_blobs = image(store, "a", "signature of it", subject=signature)
    old, _ = image(store, "a", "old")
    orphan, _ = image(store, "a", "signature of old", subject=old)
    loose = index(store, "a", old)
    outcome = collect(store, delete_untagged=True)
    assert outcome.manifests == 3
    assert set(store.repository("a").manifests()) == {amd, arm, inner, outer, signature, of_signature}
    assert blobs_of(store) == {
        amd, arm, inner, outer, signature, of_signature,
        *amd_blobs, *arm_blobs, *signature_blobs, *of_signature_blobs,
    }  # fmt: skip
    assert {old, orphan, loose}.isdisjoint(blobs_of(store))


def test_a_moved_tag_lets_go(store: Store) -> None:
    """What it named before goes with delete-untagged, and the tag's memory of it too."""
    before, _ = image(store, "a", "before", "latest")
    after, _ = image(store, "a", "after", "latest")
    collect(store, delete_untagged=True)
    assert set(store.repository("a").manifests()) == {after}
    left = [path for path, _ in store.driver.walk(layout.tags("a"))]
    assert any(after[7:] in path for path in left)
    assert not any(before[7:] in path for path in left)


def test_what_cannot_be_read_is_kept(store: Store) -> None:
    """A manifest of a kind that we do not know keeps every digest in it."""
    layer = put_blob(store, "a", b"a layer of old")
    raw = json.dumps({"schemaVersion": 1, "fsLayers": [{"blobSum": layer}]}).encode()
    old = names.digest_of(raw)
    store.repository("a").put_manifest(old, raw)
    collect(store)
    assert blobs_of(store) == {old, layer}


def test_what_is_young_stays(store: Store) -> None:
    """While serving, the grace protects a push whose manifest has not come yet; later it is garbage."""
    lonely = put_blob(store, "a", b"a layer")
    untagged, _ = image(store, "a", "child of an index to come")
    assert Collector(store, grace=HOUR).collect(delete_untagged=True).blobs == 0
    fresh = Store(store.driver)  # another process, which has noted nothing
    later = Collector(fresh, grace=HOUR, clock=lambda: time.time() + 2 * HOUR)
    assert later.collect(delete_untagged=True).manifests == 1
    assert blobs_of(store).isdisjoint({lonely, untagged})


def test_what_a_client_was_told_of_stays(store: Store) -> None:
    """An old blob that a client has just been told to be there is spared; so is one that was mounted."""
    told, mounted, forgotten = (put_blob(store, "a", text) for text in (b"told", b"mounted", b"forgotten"))
    fresh = Store(store.driver)
    _age(store)
    fresh.repository("a").blob_size(told)
    Store(store.driver).repository("b").link_blob(mounted)  # by another process: its link is new
    collector = Collector(fresh, grace=HOUR)
    collector.collect()
    assert blobs_of(store) == {told, mounted}
    assert forgotten not in blobs_of(store)


def _age(store: Store) -> None:
    """Everything in the storage is from yesterday."""
    root = f"/proc/self/fd/{store.driver._root}/docker"
    yesterday = time.time() - 24 * HOUR
    for directory, _, files in os.walk(root):
        for file in files:
            os.utime(f"{directory}/{file}", (yesterday, yesterday))


def test_pushes_while_collecting(store: Store) -> None:
    """Collections without end, and pushes that reuse old garbage as layers: every image that was taken is whole."""
    chance = random.Random(7)
    for number in range(20):
        put_blob(store, "a", f"layer {number}".encode())
    _age(store)
    served = Store(store.driver)
    ended = threading.Event()

    def keep_collecting() -> int:
        deleted = 0
        while not ended.is_set():
            deleted += Collector(served, grace=HOUR).collect(delete_untagged=True).blobs
        return deleted

    threads = ThreadPoolExecutor(1)
    collector = threads.submit(keep_collecting)
    taken: list[str] = []
    try:
        for number in range(25):
            repository = served.repository("a")
            config = put_blob(served, "a", f"config {number}".encode())
            layers = []
            for _ in range(3):
                data = f"layer {chance.randrange(20)}".encode()
                digest = names.digest_of(data)
                if repository.blob_size(digest) is None:
                    put_blob(served, "a", data)
                layers.append(digest)
            body = {
                "schemaVersion": 2, "mediaType": OCI,
                "config": descriptor(config), "layers": [descriptor(one) for one in layers],
            }  # fmt: skip
            taken.append(put_manifest(served, "a", body, f"t{number}"))
    finally:
        ended.set()
        deleted = collector.result()
        threads.shutdown()
    assert deleted
    for digest in taken:
        raw = served.repository("a").manifest(digest)
        assert raw is not None
        assert all(served.repository("a").blob_size(one.digest) is not None for one in Document(raw).blobs)


def test_the_schedule(store: Store) -> None:
    """It collects by itself, tells what it did, and ends when it is told to."""
    put_blob(store, "a", b"nobody's")
    _age(store)
    outcomes: list[Collected] = []
    collected = threading.Event()

    def done(outcome: Collected) -> None:
        outcomes.append(outcome)
        collected.set()

    schedule = Schedule(Store(store.driver), GcSettings(enabled=True, interval=0.01, grace=0.01), done)
    schedule.start()
    assert collected.wait(20)
    schedule.close()
    assert outcomes[0].blobs == 1


def test_settings() -> None:
    """storage.maintenance.garbagecollect, which Docker's registry does not have."""
    assert parse_gc({}) == GcSettings()
    asked = parse_gc({"enabled": True, "interval": "90m", "grace": "2h", "deleteuntagged": True, "dryrun": "true"})
    assert asked == GcSettings(enabled=True, interval=1.5 * HOUR, grace=2 * HOUR, delete_untagged=True, dry_run=True)
    for bad in ({"grace": "0s"}, {"interval": "often"}, {"enabled": 3}):
        with pytest.raises(InvalidArgument, match="garbagecollect"):
            parse_gc(bad)
