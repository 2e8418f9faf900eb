"""Archives of every tool are loaded; what is wrong with one is said in Docker's words and leaves nothing."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
import zstandard

from support.images import Tar, config_of, docker_archive, image_id, small_layer
from unit.transfer.archives import EMPTY, archive_of, chunks, leftovers, load, oci_archive, oci_of, open_store
from wherry.lib.errors import InvalidArgument, WherryError
from wherry.oci.digest import digest_of
from wherry.transfer.load import load_archive
from wherry.transfer.store import ImageStore

pytestmark = pytest.mark.root


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async with open_store(tmp_path / "root") as store:
        yield store


BELOW, ABOVE = small_layer(a="1", gone="x"), small_layer(b="2", **{".wh.gone": ""})
BIG = small_layer(big="x" * 1_000_000)


def files(store: ImageStore, image: str) -> list[list[str]]:
    document = store.images.get(image)
    assert document is not None
    return [sorted(os.listdir(directory)) for directory in store.snapshots.lowers(document.chain[-1])]


async def test_what_docker_saves(store: ImageStore) -> None:
    """Layers become snapshots, the config is the image's id to the byte, names lead to it."""
    (loaded,) = await load(store, docker_archive(["a/b:1", "c:2"], [BELOW, ABOVE, BIG]))
    assert loaded.image_id == image_id([BELOW, ABOVE, BIG])
    assert store.images.names(loaded.image_id) == ["docker.io/a/b:1", "docker.io/library/c:2"]
    assert files(store, loaded.image_id) == [["big"], ["b", "gone"], ["a", "gone"]]
    document = store.images.get(loaded.image_id)
    assert document is not None
    assert document.size == 1_000_003
    assert [layer.digest for layer in document.layers] == [digest_of(BELOW), digest_of(ABOVE), digest_of(BIG)]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("docker.io/library/a:1", ["docker.io/library/a:1"]),  # buildx, containerd
        ("reg.io/x/y:1", ["reg.io/x/y:1"]),
        ("a:1", ["docker.io/library/a:1"]),  # skopeo copy … oci-archive:x:a:1
        ("latest", []),  # skopeo copy … oci:dir:latest
        ("", []),
    ],
)
async def test_oci_layouts(store: ImageStore, name: str, tags: list[str], nested: bool) -> None:  # noqa: FBT001
    """Nested indexes, attestations, names in either annotation."""
    (loaded,) = await load(store, oci_archive([BELOW, BIG], name=name, nested=nested))
    assert loaded.image_id == image_id([BELOW, BIG])
    assert store.images.names(loaded.image_id) == tags


@pytest.mark.parametrize("pack", [partial(gzip.compress, mtime=0), zstandard.compress])
async def test_packed_layers_are_kept_packed(store: ImageStore, pack: Callable[[bytes], bytes]) -> None:
    """The blob is what came, the snapshot what it unpacks to."""
    (loaded,) = await load(store, oci_of(config_of([BELOW, BIG]), [pack(BELOW), pack(BIG)]))
    document = store.images.get(loaded.image_id)
    assert document is not None
    assert [layer.unpacked for layer in document.layers] == [len(BELOW), len(BIG)]
    assert store.content.read(digest_of(pack(BIG)), 10**7) == pack(BIG)


async def test_an_archive_may_be_packed_itself(store: ImageStore) -> None:
    assert len(await load(store, gzip.compress(docker_archive(["a:1"], [BELOW])))) == 1


async def test_docker_before_1_10(store: ImageStore) -> None:
    """repositories, and a chain of layer directories."""
    tar = Tar()
    top, base = "b" * 64, "a" * 64
    tar.add(f"{base}/json", json.dumps({"id": base, "created": "2014-01-01T00:00:00Z", "os": "linux"}).encode())
    tar.add(f"{base}/layer.tar", BELOW)
    document = {"id": top, "parent": base, "config": {"Cmd": ["sh"]}, "container_config": {"Cmd": ["#(nop)", "CMD"]}}
    tar.add(f"{top}/json", json.dumps(document).encode())
    tar.add(f"{top}/layer.tar", ABOVE)
    tar.add("repositories", json.dumps({"old": {"1": top}}).encode())
    (loaded,) = await load(store, tar.bytes())
    assert files(store, loaded.image_id) == [["b", "gone"], ["a", "gone"]]
    config = json.loads(store.content.read(digest_of_id(loaded.image_id), 10**6))
    assert config["history"] == [{"created": "2014-01-01T00:00:00Z"}, {"created_by": "#(nop) CMD"}]
    assert config["config"] == {"Cmd": ["sh"]}


def digest_of_id(image: str) -> object:
    return image


async def test_docker_20_10_links_repeated_layers(store: ImageStore) -> None:
    """The same layer twice in one image is a symbolic link the second time."""
    config = json.dumps(config_of([BELOW, BELOW])).encode()
    tar = Tar()
    tar.add("one/layer.tar", BELOW)
    tar.link("two/layer.tar", "../one/layer.tar")
    tar.add("c.json", config)
    tar.add("manifest.json", json.dumps([{"Config": "c.json", "Layers": ["one/layer.tar", "two/layer.tar"]}]).encode())
    (loaded,) = await load(store, tar.bytes())
    assert loaded.image_id == digest_of(config)


async def test_a_second_image_shares_what_is_there(store: ImageStore, tmp_path: Path) -> None:
    await load(store, docker_archive(["a:1"], [BELOW, BIG]))
    await load(store, docker_archive(["b:1"], [BELOW, ABOVE]))
    assert leftovers(tmp_path / "root")["snapshots"] == ["0", "1", "2", "3"]
    assert len(leftovers(tmp_path / "root")["blobs"]) == 5


async def test_a_name_moves_to_the_new_image(store: ImageStore) -> None:
    await load(store, docker_archive(["a:1"], [BELOW]))
    (second,) = await load(store, docker_archive(["a:1"], [ABOVE]))
    assert [str(name) for name in second.replaced] == ["docker.io/library/a:1"]
    assert list(second.replaced.values()) == [image_id([BELOW])]


async def test_loading_again_changes_nothing(store: ImageStore, tmp_path: Path) -> None:
    await load(store, docker_archive(["a:1"], [BELOW, BIG]))
    before = leftovers(tmp_path / "root")
    await load(store, docker_archive(["a:1"], [BELOW, BIG]))
    assert leftovers(tmp_path / "root") == before


async def test_one_archive_may_bring_its_layers_twice(store: ImageStore) -> None:
    """Two images over different bases with the same big blob."""
    one, two = json.dumps(config_of([BELOW, BIG])).encode(), json.dumps(config_of([ABOVE, BIG])).encode()
    items = [
        {"Config": "one.json", "Layers": ["below.tar", "big.tar"]},
        {"Config": "two.json", "Layers": ["above.tar", "big.tar"]},
    ]
    found = await load(
        store, archive_of(items, one_json=one, two_json=two, below_tar=BELOW, above_tar=ABOVE, big_tar=BIG)
    )
    assert [loaded.image_id for loaded in found] == [digest_of(one), digest_of(two)]


GOOD = json.dumps(config_of([BELOW])).encode()
ITEM = {"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}
TAR = r"Error processing tar file\(exit status 1\): "


def layer(name: str, **more: object) -> bytes:
    tar = Tar()
    tar.add(name, b"", **more)
    return tar.bytes()


BAD_LINK = layer("a", kind=tarfile.LNKTYPE, linkname="../../../etc/passwd")


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (random.Random(1).randbytes(3000), TAR + "archive/tar: invalid tar header"),
        (docker_archive(["a:1"], [BIG])[:500_000], TAR + "unexpected EOF"),
        (gzip.compress(docker_archive(["a:1"], [BELOW]))[:-30], TAR),
        (b"", "invalid archive: does not contain a manifest.json"),
        (bytes(10240), "invalid archive: does not contain a manifest.json"),
        (archive_of([ITEM], c_json=GOOD), "open l.tar: no such file or directory"),
        (archive_of([ITEM], l_tar=BELOW), "open c.json: no such file or directory"),
        (archive_of(b"{nope", c_json=GOOD), "invalid manifest.json"),
        (archive_of([ITEM], c_json=b"[]", l_tar=BELOW), "invalid image JSON"),
        (archive_of([ITEM], c_json=b'{"os":"linux"}', l_tar=BELOW), "invalid image JSON, no RootFS key"),
        (
            archive_of([ITEM], c_json=GOOD.replace(b"linux", b"windows"), l_tar=BELOW),
            "cannot load windows image on linux",
        ),
        (archive_of([{**ITEM, "Layers": []}], c_json=GOOD), "layers length mismatch: expected 0, got 1"),
        (archive_of([{**ITEM, "RepoTags": ["A:1"]}], c_json=GOOD, l_tar=BELOW), "repository name must be lowercase"),
        (archive_of([{**ITEM, "RepoTags": ["a"]}], c_json=GOOD, l_tar=BELOW), 'invalid tag "a"'),
        (archive_of([{**ITEM, "Config": "../../../etc/passwd"}], l_tar=BELOW), "open etc/passwd: no such file"),
        (
            archive_of([ITEM], c_json=GOOD, l_tar=ABOVE),
            f'invalid diffID for layer 0: expected "{digest_of(BELOW)}", got "{digest_of(ABOVE)}"',
        ),
        (docker_archive(["a:1"], [BELOW, BAD_LINK]), TAR + "link /etc/passwd /a: no such file or directory"),
        (docker_archive(["a:1"], [BELOW, b"garbage" * 500]), TAR + "archive/tar: invalid tar header"),
        (docker_archive(["a:1"], [BELOW, BIG[:600_000]]), TAR + "unexpected EOF"),
        (oci_archive([BELOW], nested=True).replace(b"s390x", b"riscv").replace(b'"amd64"', b'"amd65"'), "."),
        (oci_of(config_of([BELOW]), [ABOVE]), "invalid diffID for layer 0"),
    ],
)
async def test_what_is_wrong_is_said_and_leaves_nothing(
    store: ImageStore, tmp_path: Path, archive: bytes, words: str
) -> None:
    """No blob, no snapshot, no record, no lease."""
    with pytest.raises(WherryError, match=words):
        await load(store, archive)
    await store.close()
    assert leftovers(tmp_path / "root") == EMPTY
    for table in ("image", "image_reference", "content", "snapshot", "lease"):
        assert store.database.read(f"SELECT * FROM {table}") == []


async def test_a_blob_under_anothers_digest_is_refused(store: ImageStore, tmp_path: Path) -> None:
    """S17: the digest is checked before the blob is used."""
    archive = oci_archive([BELOW])
    name = hashlib.sha256(BELOW).hexdigest()
    forged = archive.replace(BELOW[512:520], b"forged!!", 1)
    with pytest.raises(InvalidArgument, match=f"blob sha256:{name} has the digest"):
        await load(store, forged)
    assert leftovers(tmp_path / "root") == EMPTY


async def test_every_cut_is_an_error_or_complete(store: ImageStore, tmp_path: Path) -> None:
    """An archive cut anywhere loads whole or not at all."""
    archive = docker_archive(["a:1"], [BELOW, BIG])
    for cut in random.Random(2).sample(range(len(archive)), 12):
        try:
            loaded = await load(store, archive[:cut])
        except WherryError:
            await asyncio.to_thread(store.snapshots._removal.submit(lambda: None).result)
            assert leftovers(tmp_path / "root") == EMPTY
        else:
            assert [one.image_id for one in loaded] == [image_id([BELOW, BIG])]
            break


async def test_a_client_that_hangs_up_leaves_nothing(store: ImageStore, tmp_path: Path) -> None:
    """Both while it sends, and while its layers are unpacked."""

    async def broken() -> AsyncIterator[bytes]:
        yield docker_archive(["a:1"], [BIG])[:300_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async for _ in load_archive(store, broken()):
            pass

    async def slow() -> AsyncIterator[bytes]:
        yield docker_archive(["a:1"], [BIG])[:300_000]
        await asyncio.sleep(30)

    async def consume() -> None:
        async for _ in load_archive(store, slow()):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    steps = load_archive(store, chunks(docker_archive(["a:1"], [small_layer(**{f"f{n}": "x" for n in range(3000)})])))
    await anext(steps)
    await steps.aclose()
    await store.close()
    assert leftovers(tmp_path / "root") == EMPTY


async def test_damage_is_healed_by_loading_again(store: ImageStore) -> None:
    """R8: a cut blob is named at start, and the same archive repairs it."""
    archive = docker_archive(["a:1"], [BELOW, BIG])
    (loaded,) = await load(store, archive)
    path = store.content.path(digest_of(BIG))
    os.truncate(path, 1000)
    assert [str(damage) for damage in store.recover()] == [
        f"blob {digest_of(BIG)} has 1000 bytes instead of {len(BIG)}"
    ]
    await load(store, archive)
    assert store.recover() == []
    assert store.content.read(digest_of(BIG), 10**7) == BIG
    assert files(store, loaded.image_id)[0] == ["big"]


async def test_garbage_goes_when_the_image_does(store: ImageStore, tmp_path: Path) -> None:
    """But not what a container stands on."""
    from wherry.state import image as image_state

    (loaded,) = await load(store, docker_archive(["a:1"], [BELOW, BIG]))
    document = store.images.get(loaded.image_id)
    assert document is not None
    await store.snapshots.prepare("container", document.chain[-1])
    await store.database.write(lambda connection: image_state.delete(connection, loaded.image_id))
    garbage = await store.collect()
    assert (len(garbage.blobs), garbage.snapshots) == (3, ())
    await store.snapshots.remove("container")
    assert [key for key, _ in (await store.collect()).snapshots] == document.chain[::-1]
    await store.close()
    assert leftovers(tmp_path / "root") == EMPTY


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("kind", ["docker-archive:{}:a/b:1", "oci-archive:{}:a/b:1"])
async def test_what_skopeo_writes(store: ImageStore, tmp_path: Path, kind: str) -> None:
    """The real tool's archives, with the layers packed as it likes."""
    source, target = tmp_path / "in.tar", tmp_path / "out.tar"
    source.write_bytes(docker_archive(["a:1"], [BELOW, BIG]))
    command = ["skopeo", "--insecure-policy", "copy", "-q", f"docker-archive:{source}", kind.format(target)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    (loaded,) = await load(store, target.read_bytes())
    assert files(store, loaded.image_id) == [["big"], ["a", "gone"]]
    assert store.images.names(loaded.image_id) == ["docker.io/a/b:1"]
