"""``manifests=true``: every platform of an image's index, here or not, and the attestations that speak of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.images import docker_archive, small_layer
from unit.transfer.archives import chunks, open_store
from wherry.api.routes.platforms import decode_platform
from wherry.engine.images import Images, ImageUser
from wherry.lib.errors import InvalidArgument, NotFound
from wherry.lib.filters import Filters
from wherry.oci.digest import digest_of
from wherry.oci.manifest import Platform
from wherry.state import image as image_state
from wherry.transfer.store import Arrival, ImageStore

OCI = "application/vnd.oci.image"
LAYER = small_layer(a="1")
HERE = {"architecture": "amd64", "os": "linux"}
ELSEWHERE = {"architecture": "arm64", "os": "linux", "variant": "v8"}
NOWHERE = {"architecture": "unknown", "os": "unknown"}


@dataclass
class World:
    users: dict[str, list[ImageUser]] = field(default_factory=dict)

    def users_of(self, image_id: str) -> Sequence[ImageUser]:
        return self.users.get(image_id, [])

    def emit(self, type_: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        pass


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async with open_store(tmp_path / "root") as store:
        yield store


@pytest.fixture
def images(store: ImageStore, world: World) -> Images:
    return Images(store, world, world)


def document(**members: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, **members}).encode()


def pointer(raw: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(raw), "size": len(raw), **more}


@dataclass
class Whole:
    """An image that came with an index of two platforms and an attestation."""

    manifest: bytes
    attestation: bytes
    statement: bytes
    index: bytes


async def whole(images: Images, store: ImageStore) -> Whole:
    """Load the image, then let it have an index, as a pull does."""
    async for _ in images.load(chunks(docker_archive(["a:1"], [LAYER], Labels=None)), quiet=True):
        pass
    image = images.resolve("a:1").document
    config = {"mediaType": f"{OCI}.config.v1+json", "digest": image.id, "size": 1}
    layer = {"mediaType": f"{OCI}.layer.v1.tar", "digest": image.layers[0].digest, "size": image.layers[0].size}
    manifest = document(mediaType=f"{OCI}.manifest.v1+json", config=config, layers=[layer])
    statement = b'{"predicateType": "x"}'
    in_toto = pointer(statement, "application/vnd.in-toto+json")
    attestation = document(mediaType=f"{OCI}.manifest.v1+json", config=in_toto, layers=[in_toto])
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest_of(manifest)}
    index = document(
        mediaType=f"{OCI}.index.v1+json",
        manifests=[
            pointer(manifest, f"{OCI}.manifest.v1+json", platform=HERE),
            pointer(b"not here", f"{OCI}.manifest.v1+json", platform=ELSEWHERE),
            pointer(attestation, f"{OCI}.manifest.v1+json", platform=NOWHERE, annotations=about),
        ],
    )
    blobs = [store.content.put(raw) for raw in (manifest, attestation, statement, index)]
    attached = [digest_of(attestation), digest_of(statement)]
    arrived = msgspec.structs.replace(image, manifest=digest_of(manifest), index=digest_of(index), attached=attached)
    await store.commit(Arrival(image=arrived, blobs=blobs))
    return Whole(manifest, attestation, statement, index)


def shown(model: object) -> Any:
    return json.loads(msgspec.json.encode(model))


async def test_each_manifest_of_the_index(images: Images, store: ImageStore, world: World) -> None:
    """What is here counts its blobs and its layers; what is elsewhere is listed all the same."""
    made = await whole(images, store)
    record = images.resolve("a:1")
    world.users[record.id] = [ImageUser(container_id="c" * 64, running=False)]
    (summary,) = shown(images.list_images(Filters(), manifests=True))
    assert summary["Containers"] == 1
    assert summary["Descriptor"] == pointer(made.index, f"{OCI}.index.v1+json")
    here, elsewhere, attestation = summary["Manifests"]
    config = len(store.content.read(record.id, 1 << 20))
    content = len(made.manifest) + config + record.document.layers[0].size
    assert here == {
        "ID": digest_of(made.manifest),
        "Descriptor": pointer(made.manifest, f"{OCI}.manifest.v1+json", platform=HERE),
        "Available": True,
        "Kind": "image",
        "Size": {"Content": content, "Total": content + record.size},
        "ImageData": {"Platform": HERE, "Containers": ["c" * 64], "Size": {"Unpacked": record.size}},
    }
    assert (elsewhere["Available"], elsewhere["Size"]) == (False, {"Content": 0, "Total": 0})
    assert elsewhere["ImageData"] == {"Platform": ELSEWHERE, "Containers": [], "Size": {"Unpacked": 0}}
    assert (attestation["Kind"], attestation["Available"]) == ("attestation", True)
    assert attestation["AttestationData"] == {"For": digest_of(made.manifest)}
    assert "ImageData" not in attestation
    size = len(made.attestation) + len(made.statement)
    assert attestation["Size"] == {"Content": size, "Total": size}


async def test_only_who_asks_is_told(images: Images, store: ImageStore) -> None:
    await whole(images, store)
    (summary,) = shown(images.list_images(Filters()))
    assert "Manifests" not in summary
    assert "Manifests" not in shown(images.inspect("a:1"))
    assert len(shown(images.inspect("a:1", manifests=True))["Manifests"]) == 3


async def test_an_image_without_an_index_has_its_own_manifest(images: Images, store: ImageStore) -> None:
    made = await whole(images, store)
    alone = msgspec.structs.replace(images.resolve("a:1").document, index="", attached=[])
    await store.database.write(lambda connection: image_state.save(connection, alone))
    found = shown(images.inspect("a:1", manifests=True))
    (own,) = found["Manifests"]
    assert own["Descriptor"] == found["Descriptor"] == pointer(made.manifest, f"{OCI}.manifest.v1+json")
    assert own["ImageData"]["Platform"]["os"] == "linux"


async def test_an_image_of_an_archive_has_none(images: Images) -> None:
    async for _ in images.load(chunks(docker_archive(["b:1"], [LAYER], User="x")), quiet=True):
        pass
    assert shown(images.inspect("b:1", manifests=True))["Manifests"] == []


@pytest.mark.parametrize(
    "wanted",
    [Platform(os="linux", architecture="s390x"), Platform(os="windows", architecture="amd64")],
)
async def test_another_platform_is_not_found(images: Images, store: ImageStore, wanted: Platform) -> None:
    """In inspect, history and removal alike, in Docker's words."""
    await whole(images, store)
    own = images.resolve("a:1")
    why = (
        f"image with reference a:1 was found but its platform \\({own.os}/{own.architecture}\\) does not match the "
        f"specified platform \\({wanted.os}/{wanted.architecture}\\)"
    )
    with pytest.raises(NotFound, match=why):
        images.inspect("a:1", wanted)
    with pytest.raises(NotFound, match=why):
        images.history("a:1", wanted)
    with pytest.raises(NotFound, match=why):
        await images.remove("a:1", wanted)
    right = Platform(os=own.os, architecture=own.architecture)
    assert images.inspect("a:1", right).id == own.id
    assert await images.remove("a:1", right)


def test_a_platform_is_system_and_architecture() -> None:
    assert decode_platform("") is None
    assert decode_platform('{"os": "linux", "architecture": "arm", "variant": "v7"}') == Platform(
        os="linux", architecture="arm", variant="v7"
    )
    for text, why in (
        ("linux/amd64", "failed to parse platform"),
        ('{"variant": "v7"}', "optional platform fields provided, but OS and Architecture are missing"),
        ('{"os": "linux"}', "both OS and Architecture must be provided"),
    ):
        with pytest.raises(InvalidArgument, match=why):
            decode_platform(text)
