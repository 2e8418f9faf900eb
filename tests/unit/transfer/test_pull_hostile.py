"""A registry that lies, stalls or breaks (promise S17): the words of Docker, nothing left, other pulls unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.commands import eventually
from support.hostile_registry import ENDLESS, GARBAGE, HANG_UP, PASS, Answer, HostileRegistry, cut, digest_of, error
from support.images import small_layer
from unit.transfer.archives import EMPTY, leftovers, open_store
from wherry.engine.images.pulling import Pulling
from wherry.lib.errors import WherryError
from wherry.transfer.remote import Registries, RegistrySettings
from wherry.transfer.store import ImageStore

pytestmark = pytest.mark.root
TAR = small_layer(big=os.urandom(200_000).hex())
LAYER = gzip.compress(TAR, 1, mtime=0)
BLOBS = rf"/v2/team/app/blobs/{digest_of(LAYER)}"
MANIFESTS = r"/v2/team/app/manifests/.*"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


class Events(list[tuple[str, str, str]]):
    def emit(self, type_: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        assert attributes["name"]
        self.append((type_, action, actor))


class Client:
    """Pulls as the API does."""

    def __init__(self, root: Path, store: ImageStore, registries: Registries) -> None:
        self.root, self.store, self.events = root, store, Events()
        self.pulling = Pulling(store, registries, self.events, downloads=3)

    async def pull(self, registry: HostileRegistry, path: str = "team/app") -> list[dict[str, Any]]:
        """The JSON lines; an error of the request as ``{"message": …}``."""
        try:
            lines = [line async for line in self.pulling.pull(f"{registry.host}/{path}", "1", platform="linux/amd64")]
        except WherryError as fault:
            return [{"message": fault.message}]
        return [json.loads(line) for line in lines]

    async def nothing_left(self) -> bool:
        await self.pulling.close()
        await self.store.collect()
        self.store.snapshots._removal.submit(lambda: None).result()
        return leftovers(self.root) == EMPTY and not self.store.images.all() and not self.events


@pytest.fixture
def registry() -> Iterator[HostileRegistry]:
    with HostileRegistry() as served:
        served.add_image("team/app", "1", [LAYER], diff_ids=[digest_of(TAR)])
        served.add_image("good/app", "1", [small_layer(ok="1")])
        yield served


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    settings = RegistrySettings(retry_delay=0.01, read_timeout=5.0, ping_timeout=5.0, attempts=3, certs_dirs=())
    async with open_store(tmp_path) as store:
        with contextlib.closing(Registries(settings)) as registries:
            yield Client(tmp_path, store, registries)


VERIFICATION = f"filesystem layer verification failed for digest {digest_of(LAYER)}"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, LAYER[:-1] + b"x"), VERIFICATION),
        (Answer(200, LAYER[:-9]), VERIFICATION),
        (Answer(200, LAYER + b"x"), VERIFICATION),
        (ENDLESS, VERIFICATION),
        (error(404, "BLOB_UNKNOWN", "blob unknown to registry"), "unknown blob"),
        (error(401, "UNAUTHORIZED", "who are you"), "unauthorized: who are you"),
        (error(403, "DENIED", "no"), "denied: no"),
        (error(429, "TOOMANYREQUESTS", "slow down"), "toomanyrequests: slow down"),
        (Answer(500), "received unexpected HTTP status: 500 Internal Server Error"),
        (GARBAGE, "malformed HTTP"),
        (HANG_UP, "EOF"),
    ],
    ids=["digest", "short", "long", "endless", "404", "401", "403", "429", "500", "garbage", "hang up"],
)
async def test_a_bad_blob(client: Client, registry: HostileRegistry, answer: Answer, words: str) -> None:
    registry.on("GET", BLOBS, answer)
    bad, good = await asyncio.gather(client.pull(registry), client.pull(registry, "good/app"))
    assert words in bad[-1]["error"], bad[-1]
    assert bad[-1]["errorDetail"]["message"] == bad[-1]["error"]
    assert good[-1]["status"].startswith("Status: Downloaded newer image")
    assert leftovers(client.root)["ingest"] == []
    assert len(client.store.images.all()) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, b" " * (4 * 1024 * 1024 + 1), {"Content-Type": MANIFEST_TYPE}), "larger than the limit"),
        (ENDLESS, "larger than the limit"),
        (Answer(200, b'{"schemaVersion":1}', {"Content-Type": SCHEMA1}), "Docker Image manifest version 2, schema 1"),
        (Answer(200, b"[]", {"Content-Type": MANIFEST_TYPE}), "invalid manifest"),
        (error(404, "MANIFEST_UNKNOWN", "none"), "/team/app:1 not found: manifest unknown: none"),
        (GARBAGE, "malformed HTTP"),
    ],
    ids=["large", "endless", "schema1", "no object", "404", "garbage"],
)
async def test_a_bad_manifest_is_an_error_of_the_request(
    client: Client, registry: HostileRegistry, answer: Answer, words: str
) -> None:
    registry.on("GET", MANIFESTS, answer)
    said = await client.pull(registry)
    assert words in said[-1]["message"]
    assert await client.nothing_left()


async def test_a_broken_download_goes_on_where_it_was(client: Client, registry: HostileRegistry) -> None:
    registry.on("GET", BLOBS, cut(100_000), cut(50_000), PASS)
    said = await client.pull(registry)
    assert said[-1]["status"].startswith("Status: Downloaded newer image")
    assert [one.headers.get("range") for one in registry.seen("GET", BLOBS)] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
    ]
    assert client.events == [("image", "pull", f"{registry.host}/team/app:1")]


async def test_waiting_for_a_silent_registry_ends_with_the_client(client: Client, registry: HostileRegistry) -> None:
    registry.on("GET", BLOBS, Answer(200, LAYER, stop_after=70_000, stall=60))
    lines = client.pulling.pull(f"{registry.host}/team/app", "1")
    work = asyncio.ensure_future(anext(lines))
    await work
    rest = asyncio.ensure_future(_all(lines))
    ingest = client.root / "content/ingest"
    await asyncio.to_thread(eventually, "some has come", lambda: any(path.stat().st_size for path in ingest.iterdir()))
    rest.cancel()
    await asyncio.wait([rest])
    await lines.aclose()  # type: ignore[attr-defined]
    assert await client.nothing_left()
    assert not [one.name for one in threading.enumerate() if one.name in {"transfer", "unpack"}]


async def _all(lines: AsyncIterator[bytes]) -> None:
    async for _ in lines:
        pass


async def test_a_bomb_ends_at_the_reserve(
    client: Client, registry: HostileRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer may unpack to anything; before the disk is full it is an error that leaves nothing."""
    tar = small_layer(zeros="\0" * 30_000_000)
    registry.add_image("team/app", "1", [gzip.compress(tar, 9, mtime=0)], diff_ids=[digest_of(tar)])
    monkeypatch.setattr("wherry.transfer.pipeline.LOOK_BYTES", 1_000_000)
    monkeypatch.setattr("wherry.transfer.pipeline.RESERVE_MAX", 1 << 60)
    monkeypatch.setattr("wherry.transfer.pipeline.RESERVE_PART", 1)
    said = await client.pull(registry)
    assert "no space left on device" in said[-1]["error"]
    monkeypatch.undo()
    assert await client.nothing_left()
