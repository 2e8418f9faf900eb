"""The pull-through cache: fetched once for all, streamed meanwhile, revalidated, and served when upstream is down."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from distribution.client import digest_of
from registry.requests import request as asked_for
from wherry.lib.errors import InvalidArgument, NotFound, Unauthorized, Unavailable
from wherry.registry import layout
from wherry.registry.config import Settings
from wherry.registry.context import Context
from wherry.registry.errors import AccessDenied, BlobUnknown, NotServing
from wherry.registry.filesystem import FilesystemDriver
from wherry.registry.http.message import Response
from wherry.registry.metrics import Metrics
from wherry.registry.pull_through import PullThrough
from wherry.registry.pull_through_expiry import Expiry
from wherry.registry.pull_through_source import ProxySettings, parse_proxy
from wherry.registry.storage import PathMissing
from wherry.registry.store import Store

OCI = "application/vnd.oci.image.manifest.v1+json"


class Bytes:
    """A blob that comes in pieces, each when ``free`` says so."""

    def __init__(self, data: bytes, free: threading.Event | None = None) -> None:
        self._data, self._free = data, free
        self.closed = False

    def readinto(self, buffer: memoryview) -> int:
        if self._free is not None and len(self._data) < 200_000:
            assert self._free.wait(20)
        piece = self._data[: min(len(buffer), 100_000)]
        self._data = self._data[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.closed = True


class Upstream:
    """A Source in memory that counts what it is asked."""

    def __init__(self) -> None:
        self.tagged: dict[str, str] = {}
        self.content: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.free: threading.Event | None = None
        self.wrong = b""
        self.repositories = {"a"}

    def push(self, tag: str, layer: bytes) -> tuple[str, str]:
        """An image of one layer: the digests of its manifest and of the layer."""
        config = b"{}" + tag.encode()
        parts = [{"mediaType": "x", "digest": digest_of(data), "size": len(data)} for data in (config, layer)]
        manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": parts[0], "layers": parts[1:]}).encode()
        for data in (config, layer, manifest):
            self.content[digest_of(data)] = data
        self.tagged[tag] = digest_of(manifest)
        return digest_of(manifest), digest_of(layer)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure

    def resolve(self, repository: str, tag: str) -> str:
        self._ask(f"resolve {tag}")
        if tag not in self.tagged or repository not in self.repositories:
            raise NotFound(f"manifest for {repository}:{tag} not found")
        return self.tagged[tag]

    def manifest(self, _repository: str, digest: str) -> bytes:
        self._ask(f"manifest {digest}")
        return self.content[digest]

    def has_blob(self, repository: str, digest: str) -> bool:
        self._ask(f"has {digest}")
        return repository in self.repositories and digest in self.content

    def blob(self, _repository: str, digest: str, _size: int) -> Bytes:
        self._ask(f"blob {digest}")
        if digest not in self.content:
            raise NotFound("blob unknown to registry")
        return Bytes(self.wrong or self.content[digest], self.free)

    def tags(self, _repository: str) -> list[str]:
        self._ask("tags")
        return list(self.tagged)


class Blind(FilesystemDriver):
    """As S3: what is being written cannot be read."""

    def open(self, path: str, offset: int = 0) -> Any:
        if "/_uploads/" in path:
            raise PathMissing(path)
        return super().open(path, offset)


@pytest.fixture(params=[FilesystemDriver, Blind], ids=["files", "blind"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with closing(request.param(str(tmp_path / "root"))) as driver:
        yield Store(driver)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def cache(store: Store, upstream: Upstream, metrics: Metrics) -> PullThrough:
    return PullThrough(Context.make(Settings(), store), upstream, metrics)


def _body(response: Response | None) -> bytes:
    assert response is not None
    if hasattr(response.body, "reader"):
        with response.body.reader as reader:
            buffer = memoryview(bytearray(response.body.length))
            assert reader.readinto(buffer) == len(buffer)
            return bytes(buffer)
    return b"".join(response.body)


def _get(**headers: str) -> Any:
    return asked_for("GET", "/v2/a/blobs/x", host="r.test", **headers)


def test_a_miss_is_fetched_and_kept(cache: PullThrough, upstream: Upstream, store: Store) -> None:
    """Manifest and layer come from upstream once; then they are here."""
    layer = os.urandom(1_000_000)
    manifest, digest = upstream.push("latest", layer)
    cache.manifest("a", "latest")
    assert store.repository("a").resolve("latest") == manifest
    response = cache.blob(_get(), "a", digest)
    assert response is not None
    assert (response.status, response.length) == (200, len(layer))
    assert _body(response) == layer
    assert store.repository("a").blob_size(digest) == len(layer)
    assert not list(store.driver.walk(layout.uploads("a")))
    cache.manifest("a", manifest)
    assert [one for one in upstream.asked if one.startswith(("blob", "manifest"))] == [
        f"manifest {manifest}", f"blob {digest}"
    ]  # fmt: skip


def test_clients_stream_while_it_comes(cache: PullThrough, upstream: Upstream) -> None:
    """A reader has the first bytes before the last have come; many readers are one fetch; a range is served."""
    layer = os.urandom(1_000_000)
    upstream.free = threading.Event()
    _, digest = upstream.push("latest", layer)
    cache.manifest("a", "latest")
    first = cache.blob(_get(), "a", digest)
    assert first is not None
    begun = next(iter(first.body))
    assert begun == layer[: len(begun)]
    with ThreadPoolExecutor(12) as threads:
        readers = [threads.submit(_body, cache.blob(_get(), "a", digest)) for _ in range(10)]
        ranged = cache.blob(_get(range="bytes=999000-"), "a", digest)
        assert ranged is not None
        assert (ranged.status, ranged.headers["Content-Range"]) == (206, "bytes 999000-999999/1000000")
        part = threads.submit(_body, ranged)
        assert not readers[0].done()
        upstream.free.set()
        assert all(reader.result() == layer for reader in readers)
        assert part.result() == layer[999_000:]
    assert upstream.asked.count(f"blob {digest}") == 1


def test_a_client_that_leaves(cache: PullThrough, upstream: Upstream, store: Store) -> None:
    """It does not end the fetch for the others, nor for the cache."""
    layer = os.urandom(1_000_000)
    upstream.free = threading.Event()
    _, digest = upstream.push("latest", layer)
    cache.manifest("a", "latest")
    leaving, staying = cache.blob(_get(), "a", digest), cache.blob(_get(), "a", digest)
    assert leaving is not None
    next(leaving.body)
    leaving.body.close()
    upstream.free.set()
    assert _body(staying) == layer
    assert store.repository("a").blob_size(digest) == len(layer)


@pytest.mark.parametrize("wrong", [b"short", b"x" * 1_000_000, b"x" * 1_000_001])
def test_a_wrong_blob(cache: PullThrough, upstream: Upstream, store: Store, wrong: bytes) -> None:
    """No client gets the whole of it, nothing of it stays, and the next one fetches again."""
    layer = os.urandom(1_000_000)
    _, digest = upstream.push("latest", layer)
    cache.manifest("a", "latest")
    upstream.wrong = wrong
    got: list[bytes] = []
    with pytest.raises(NotServing):
        got.extend(cache.blob(_get(), "a", digest).body)
    assert sum(map(len, got)) < len(layer)
    assert store.blob_size(digest) is None
    assert not list(store.driver.walk(layout.uploads("a")))
    upstream.wrong = b""
    assert _body(cache.blob(_get(), "a", digest)) == layer


def test_a_tag_is_revalidated(cache: PullThrough, upstream: Upstream, store: Store) -> None:
    """It names here what it names upstream; an unchanged one costs one question."""
    upstream.push("latest", b"one")
    cache.manifest("a", "latest")
    cache.manifest("a", "latest")
    assert [one.partition(" ")[0] for one in upstream.asked] == ["resolve", "manifest", "resolve"]
    moved, _ = upstream.push("latest", b"two")
    cache.manifest("a", "latest")
    assert store.repository("a").resolve("latest") == moved


def test_upstream_is_down(cache: PullThrough, upstream: Upstream, store: Store) -> None:
    """What is here is served; what is not is 503, or 403 where upstream refuses."""
    manifest, digest = upstream.push("latest", b"layer")
    cache.manifest("a", "latest")
    _body(cache.blob(_get(), "a", digest))
    upstream.failure = Unavailable("dial tcp: connection refused")
    cache.manifest("a", "latest")
    cache.manifest("a", manifest)
    assert store.repository("a").resolve("latest") == manifest
    assert cache.tags("a") is None
    with pytest.raises(NotServing, match="refused"):
        cache.manifest("a", "other")
    upstream.failure = Unauthorized("no")
    with pytest.raises(AccessDenied):
        cache.manifest("a", "other")
    upstream.failure = None
    cache.manifest("a", "other")
    assert store.repository("a").resolve("other") is None


def test_a_repository_gets_only_what_upstream_gives_it(cache: PullThrough, upstream: Upstream, store: Store) -> None:
    """A blob that came by another repository is shared when upstream says that this one has it, and not otherwise."""
    manifest, digest = upstream.push("latest", b"layer")
    upstream.repositories |= {"b", "c"}
    for name in ("a", "b", "c"):
        cache.manifest(name, manifest)
    _body(cache.blob(_get(), "a", digest))
    assert _body(cache.blob(_get(), "b", digest)) == b"layer"
    assert upstream.asked.count(f"blob {digest}") == 1
    upstream.repositories.discard("c")
    assert cache.blob(_get(), "c", digest) is None
    assert store.repository("c").blob(digest) is None
    assert cache.blob(_get(), "a", digest_of(b"never heard of")) is None


def test_a_blob_that_upstream_does_not_have(cache: PullThrough, upstream: Upstream) -> None:
    """404 in its stead, not a broken answer."""
    _, digest = upstream.push("latest", b"layer")
    cache.manifest("a", "latest")
    del upstream.content[digest]
    with pytest.raises(BlobUnknown):
        cache.blob(_get(), "a", digest)


def test_a_head_fetches_nothing(cache: PullThrough, upstream: Upstream) -> None:
    """It tells the size that the manifest gives."""
    _, digest = upstream.push("latest", b"layer")
    cache.manifest("a", "latest")
    response = cache.blob(asked_for("HEAD"), "a", digest)
    assert response is not None
    assert response.length == 5
    assert f"blob {digest}" not in upstream.asked


def test_what_is_old_is_forgotten(cache: PullThrough, upstream: Upstream, store: Store) -> None:
    """After the ttl links, tags and bytes go, and are fetched again when they are asked for."""
    manifest, digest = upstream.push("latest", b"layer")
    cache.manifest("a", "latest")
    _body(cache.blob(_get(), "a", digest))
    expiry = Expiry(store, ttl=3600, grace=0)
    assert expiry.expire(time.time()) == 0
    assert expiry.expire(time.time() + 7200) == 2
    assert store.repository("a").resolve("latest") is None
    assert not list(store.driver.walk(layout.BLOBS))
    cache.manifest("a", "latest")
    assert store.repository("a").resolve("latest") == manifest


def test_metrics(cache: PullThrough, upstream: Upstream, metrics: Metrics) -> None:
    """Hits, misses and bytes are told."""
    _, digest = upstream.push("latest", b"layer")
    cache.manifest("a", "latest")
    cache.manifest("a", "latest")
    _body(cache.blob(_get(), "a", digest))
    text = metrics.scrape().decode()
    assert 'registry_proxy_requests_total{type="manifests"} 2' in text
    assert 'registry_proxy_hits_total{type="manifests"} 1' in text
    assert 'registry_proxy_misses_total{type="blobs"} 1' in text
    assert 'registry_proxy_pulled_bytes_total{type="blobs"} 5' in text


def test_settings() -> None:
    """The keys of Docker's registry."""
    assert parse_proxy({}) is None
    hub = parse_proxy({"remoteurl": "https://registry-1.docker.io"})
    assert hub == ProxySettings(url="https://registry-1.docker.io", domain="docker.io", insecure=False)
    asked = parse_proxy({"remoteurl": "http://h:5000", "username": "u", "password": "p", "ttl": "1h"})
    assert asked is not None
    assert (asked.domain, asked.insecure, asked.ttl) == ("h:5000", True, 3600)
    assert asked.credentials is not None
    assert asked.credentials.username == "u"
    for bad in ({"remoteurl": "ftp://x"}, {"remoteurl": "http://h/path"}, {"remoteurl": "http://h", "ttl": "soon"}):
        with pytest.raises(InvalidArgument, match="proxy"):
            parse_proxy(bad)
