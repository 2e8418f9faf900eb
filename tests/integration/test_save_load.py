"""docker save and load: several images, platforms, other tools' archives, and damage."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import images
from support.commands import find, run
from support.daemons import Daemon

HERE = images.config_of([])["architecture"]


@pytest.fixture(autouse=True)
def _only_busybox(daemon: Daemon) -> Iterator[None]:
    yield
    daemon.clear_images()


def saved(daemon: Daemon, path: Path, *args: str) -> dict[str, bytes]:
    """The members of what ``docker save`` writes to ``path``."""
    daemon.docker("save", "-o", str(path), *args)
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_several_images_share_their_layers(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """By name and by id, each layer once, under its diff id and unpacked."""
    for name in ("one", "two"):
        layers = [busybox_layer, images.small_layer(**{name: "1"})]
        daemon.docker("load", "-q", input=images.docker_archive([f"{name}:1"], layers))
    by_id = images.image_id([busybox_layer, images.small_layer(two="1")])
    found = saved(daemon, tmp_path / "all.tar", "one:1", by_id, "busybox")
    items = {tuple(item["RepoTags"] or ()): item for item in json.loads(found["manifest.json"])}
    assert set(items) == {("one:1",), (), ("busybox:latest",)}
    layers = {layer for item in items.values() for layer in item["Layers"]}
    if daemon.kind == "wherryd":  # the reference, 20.10, names layers by what is above them too
        assert len(layers) == 3
        assert all(sha(found[layer]) == layer.rpartition("/")[2] for layer in layers)
    daemon.clear_images()
    daemon.docker("load", "-q", "-i", str(tmp_path / "all.tar"))
    assert daemon.out("run", "--rm", "--network", "none", "one:1", "cat", "/one") == "1"
    assert daemon.out("run", "--rm", "--network", "none", by_id, "cat", "/two") == "1"


@pytest.mark.ours
def test_packed_layers_come_out_unpacked(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """Of an OCI layout with zstd layers too the archive holds the tars, by diff id; the same bytes every time."""
    if find("skopeo") is None:
        pytest.skip("skopeo is not installed")
    layers = [busybox_layer, images.small_layer(packed="1")]
    (tmp_path / "plain.tar").write_bytes(images.docker_archive(["packed:1"], layers))
    run(
        *("skopeo", "copy", "--insecure-policy", "--dest-compress-format", "zstd"),
        *(f"docker-archive:{tmp_path / 'plain.tar'}", f"oci-archive:{tmp_path / 'packed.tar'}:packed:1"),
    )
    daemon.docker("load", "-q", "-i", str(tmp_path / "packed.tar"))
    found = saved(daemon, tmp_path / "one.tar", "packed:1")
    paths = json.loads(found["manifest.json"])[0]["Layers"]
    assert [found[path] for path in paths] == layers
    assert paths == [f"blobs/sha256/{sha(layer)}" for layer in layers]
    saved(daemon, tmp_path / "two.tar", "packed:1")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


@pytest.mark.ours
def test_a_platform(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """What is there is saved, another one is refused; of an archive only the images of the platform are loaded."""
    daemon.docker("save", "--platform", f"linux/{HERE}", "-o", str(tmp_path / "b.tar"), "busybox")
    done = daemon.docker("save", "--platform", "linux/s390x", "-o", str(tmp_path / "c.tar"), "busybox", check=False)
    assert done.returncode == 1
    assert "no suitable export target found for platform linux/s390x" in done.stderr
    archive = images.docker_archive(["only:here"], [busybox_layer, images.small_layer(only="1")])
    (tmp_path / "only.tar").write_bytes(archive)
    assert daemon.out("load", "--platform", "linux/s390x", "-i", str(tmp_path / "only.tar")) == ""
    assert "only" not in daemon.out("images")
    loaded = daemon.out("load", "--platform", f"linux/{HERE}", "-i", str(tmp_path / "only.tar"))
    assert loaded == "Loaded image: only:here"


@pytest.mark.ours
def test_one_platform_of_a_layout(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """An OCI layout with an index of two platforms: by default this machine's, or the one asked for."""
    archive = layout(tmp_path / "multi.tar", "multi:1", {HERE: busybox_layer, "s390x": images.small_layer(other="1")})
    daemon.docker("load", "-q", "-i", str(archive))
    assert json.loads(daemon.out("image", "inspect", "multi:1"))[0]["Architecture"] == HERE
    daemon.docker("rmi", "multi:1")
    daemon.docker("load", "-q", "--platform", "linux/s390x", "-i", str(archive))
    assert json.loads(daemon.out("image", "inspect", "multi:1"))[0]["Architecture"] == "s390x"


def layout(path: Path, name: str, layers: dict[str, bytes]) -> Path:
    """An OCI layout's tar with one index, an image of one gzipped layer for each architecture."""
    tar = images.Tar()

    def blob(data: bytes, media_type: str) -> dict[str, object]:
        tar.add(f"blobs/sha256/{sha(data)}", data)
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": f"sha256:{sha(data)}",
            "size": len(data),
        }

    manifests = []
    for architecture, layer in layers.items():
        config = json.dumps({**images.config_of([layer]), "architecture": architecture}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(config, "config.v1+json"),
            "layers": [blob(gzip.compress(layer, 1, mtime=0), "layer.v1.tar+gzip")],
        }
        own = blob(json.dumps(manifest).encode(), "manifest.v1+json")
        manifests.append({**own, "platform": {"os": "linux", "architecture": architecture}})
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    top = {**blob(json.dumps(index).encode(), "index.v1+json"), "annotations": {"io.containerd.image.name": name}}
    tar.add("index.json", json.dumps({"schemaVersion": 2, "manifests": [top]}).encode())
    tar.add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    path.write_bytes(tar.bytes())
    return path


@pytest.mark.ours
def test_damage_is_found(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """A blob that changed on disk: save and push name it and do not pretend; loaded again it is whole."""
    layers = [busybox_layer, images.small_layer(damaged="no" * 1000)]
    archive = images.docker_archive(["damaged:1"], layers)
    daemon.docker("load", "-q", input=archive)
    blob = Path(daemon.data_root, "content/blobs/sha256", sha(layers[1]))
    blob.write_bytes(layers[1].replace(b"no", b"on", 1))
    done = daemon.docker("save", "-o", str(tmp_path / "x.tar"), "damaged:1", check=False)
    assert done.returncode == 1
    blob.write_bytes(layers[1])
    daemon.docker("save", "-o", str(tmp_path / "x.tar"), "damaged:1")


def test_an_archive_that_is_cut(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """A load that breaks off says so, and nothing of it is there."""
    archive = images.docker_archive(["cut:1"], [busybox_layer, images.small_layer(cut="1")])
    (tmp_path / "cut.tar").write_bytes(archive[: len(archive) // 2])
    done = daemon.docker("load", "-i", str(tmp_path / "cut.tar"), check=False)
    assert "unexpected EOF" in done.stderr + done.stdout
    assert "cut" not in daemon.out("images")


def test_clients_that_do_not_read_hold_nobody_up(daemon: Daemon) -> None:
    """A dozen saves whose readers stand still: the daemon goes on serving, and lets go of them when they hang up."""
    stalled = [daemon.spawn("save", "busybox") for _ in range(12)]
    try:
        assert daemon.out("run", "--rm", "--network", "none", "busybox", "echo", "served") == "served"
    finally:
        for client in stalled:
            client.kill()
            client.communicate()
    assert len(daemon.out("save", "busybox")) > 1_000_000
