"""What is saved is read back by us, by skopeo and by a real dockerd, and is always the same bytes."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.images import config_of, docker_archive, image_id, small_layer
from unit.transfer.archives import load, oci_of, open_store
from wherry.lib.errors import Internal
from wherry.oci.digest import digest_of
from wherry.oci.reference import parse_reference
from wherry.transfer.save import Wanted, save_archive
from wherry.transfer.store import ImageStore

pytestmark = pytest.mark.root

ONE, TWO = small_layer(a="1"), small_layer(big="x" * 700_000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async with open_store(tmp_path / "root") as store:
        yield store


async def saved(store: ImageStore, *images: tuple[str, list[str]]) -> bytes:
    wanted = []
    for image, names in images:
        document = store.images.get(image)
        assert document is not None
        wanted.append(Wanted(document, tuple(parse_reference(name) for name in names)))
    return b"".join([piece async for piece in save_archive(store, wanted)])


async def test_both_layouts_describe_the_same_blobs(store: ImageStore) -> None:
    """Every path and digest in manifest.json and index.json is there, and is what it says."""
    (loaded,) = await load(store, docker_archive(["a/b:1"], [ONE, TWO]))
    archive = await saved(store, (loaded.image_id, ["a/b:1", "c:2"]))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(0, 0, "")}
    (item,) = json.loads(files["manifest.json"])
    assert item["RepoTags"] == ["a/b:1", "c:2"]
    assert [files[path] for path in item["Layers"]] == [ONE, TWO]
    assert f"sha256:{hashlib.sha256(files[item['Config']]).hexdigest()}" == loaded.image_id
    index = json.loads(files["index.json"])
    assert [one["annotations"]["io.containerd.image.name"] for one in index["manifests"]] == [
        "docker.io/a/b:1",
        "docker.io/library/c:2",
    ]
    manifest = json.loads(files["blobs/sha256/" + index["manifests"][0]["digest"][7:]])
    for descriptor in (manifest["config"], *manifest["layers"]):
        blob = files["blobs/sha256/" + descriptor["digest"][7:]]
        assert (len(blob), digest_of(blob)) == (descriptor["size"], descriptor["digest"])
    assert json.loads(files["repositories"]) == {
        "a/b": {"1": digest_of(TWO)[7:]},
        "c": {"2": digest_of(TWO)[7:]},
    }


async def test_the_bytes_are_the_same_wherever_it_came_from(store: ImageStore, tmp_path: Path) -> None:
    """Loaded plain or packed, saved today or tomorrow, loaded again and saved again."""
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE, TWO]))
    first = await saved(store, (loaded.image_id, ["a:1"]))
    for archive in (first, oci_of(config_of([ONE, TWO]), [gzip.compress(ONE), gzip.compress(TWO)])):
        async with open_store(tmp_path / f"root{len(archive)}") as other:
            (again,) = await load(other, archive)
            assert again.image_id == loaded.image_id
            assert await saved(other, (again.image_id, ["a:1"])) == first


async def test_a_damaged_blob_is_named_before_anything_is_sent(store: ImageStore) -> None:
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE, TWO]))
    os.truncate(store.content.path(digest_of(TWO)), 5)
    with pytest.raises(Internal, match=f"blob {digest_of(TWO)} of image {loaded.image_id} is damaged"):
        await saved(store, (loaded.image_id, []))


async def test_a_forged_blob_never_ends_well(store: ImageStore) -> None:
    """Its size is right, so it shows only at the end: the stream breaks off before the archive is complete."""
    (loaded,) = await load(store, docker_archive(["a:1"], [ONE, TWO]))
    store.content.path(digest_of(TWO)).write_bytes(TWO.replace(b"x", b"y"))
    with pytest.raises(Internal, match=f"blob {digest_of(TWO)} is damaged"):
        await saved(store, (loaded.image_id, []))
    assert store.database.read("SELECT * FROM lease") == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("form", ["docker-archive:{}:a/b:1", "oci-archive:{}:1"])
async def test_skopeo_reads_it(store: ImageStore, tmp_path: Path, form: str) -> None:
    (loaded,) = await load(store, docker_archive(["a/b:1"], [ONE, TWO]))
    archive, target = tmp_path / "saved.tar", tmp_path / "target"
    archive.write_bytes(await saved(store, (loaded.image_id, ["a/b:1"])))
    command = ["skopeo", "--insecure-policy", "copy", "-q", form.format(archive), f"dir:{target}"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    manifest = json.loads((target / "manifest.json").read_text())
    assert manifest["config"]["digest"] == loaded.image_id == image_id([ONE, TWO])


REFERENCE = os.environ.get("WHERRY_REFERENCE_HOST", "")


@pytest.mark.slow
@pytest.mark.skipif(not REFERENCE, reason="no dockerd to compare with: WHERRY_REFERENCE_HOST is not set")
async def test_a_real_dockerd_loads_it(store: ImageStore, tmp_path: Path) -> None:
    """And gives the image the same id."""
    layer = small_layer(reference=str(os.getpid()))
    (loaded,) = await load(store, docker_archive(["wherry-test/saved:1"], [ONE, layer]))
    archive = tmp_path / "saved.tar"
    archive.write_bytes(await saved(store, (loaded.image_id, ["wherry-test/saved:1"])))

    def docker(*words: str) -> str:
        command = ["docker", "-H", REFERENCE, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        assert docker("load", "-i", str(archive)) == "Loaded image: wherry-test/saved:1"
        assert docker("inspect", "-f", "{{.Id}}", "wherry-test/saved:1") == loaded.image_id
        again = await asyncio.to_thread(
            subprocess.run, ["docker", "-H", REFERENCE, "save", "wherry-test/saved:1"], check=True, capture_output=True
        )
        async with open_store(tmp_path / "other") as other:
            assert (await load(other, again.stdout))[0].image_id == loaded.image_id
    finally:
        docker("rmi", "-f", "wherry-test/saved:1")
