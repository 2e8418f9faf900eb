"""docker push: what a registry gets, what the client is shown, and what is said when it does not work."""

from __future__ import annotations

import contextlib
import gzip
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from support import images
from support.commands import eventually, find, run
from support.daemons import Daemon
from support.registries import INDEX, Registry, digest_of, on_platform


@pytest.fixture(scope="module")
def registry(shared_daemon: Daemon) -> Iterator[Registry]:
    """Debian's registry beside the shared daemon."""
    with Registry(shared_daemon.box, kind="docker") as made:
        yield made


@pytest.fixture(autouse=True)
def _only_busybox(daemon: Daemon) -> Iterator[None]:
    """Each test gets busybox:latest alone, and leaves it alone."""
    yield
    daemon.clear_images()


def load(daemon: Daemon, name: str, *layers: bytes) -> None:
    daemon.docker("load", "-q", input=images.docker_archive([name], list(layers)))


def manifest_of(registry: Registry, repository: str, tag: str) -> tuple[str, dict[str, Any]]:
    """The digest and the manifest that a tag leads to."""
    accept = (
        "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, " + INDEX
    )
    status, _, body = registry.call("GET", f"/v2/{repository}/manifests/{tag}", Accept=accept)
    assert status == 200, body
    return digest_of(body), json.loads(body)


def test_what_the_client_is_shown(daemon: Daemon, registry: Registry, busybox_layer: bytes) -> None:
    """Line by line as from Docker: first Pushed, then Layer already exists, and from a neighbour Mounted."""
    name = f"{registry.host}/shown/app"
    top = images.small_layer(shown="1")
    load(daemon, f"{name}:1", busybox_layer, top)
    short = [digest_of(layer)[7:19] for layer in (top, busybox_layer)]
    lines = daemon.out("push", f"{name}:1").splitlines()
    digest, manifest = manifest_of(registry, "shown/app", "1")
    assert lines[0] == f"The push refers to repository [{name}]"
    assert lines[1:3] == [f"{layer}: Preparing" for layer in short]
    assert sorted(lines[3:5]) == sorted(f"{layer}: Pushed" for layer in short)
    assert lines[5] == f"1: digest: {digest} size: {len(json.dumps(manifest, indent=3))}"

    again = daemon.out("push", f"{name}:1").splitlines()
    assert sorted(again[3:5]) == sorted(f"{layer}: Layer already exists" for layer in short)
    assert again[5] == lines[5]

    daemon.docker("tag", f"{name}:1", f"{registry.host}/other:2")
    mounted = daemon.out("push", f"{registry.host}/other:2").splitlines()
    assert sorted(mounted[3:5]) == sorted(f"{layer}: Mounted from shown/app" for layer in short)


def test_the_registry_has_the_image(daemon: Daemon, registry: Registry, busybox_layer: bytes) -> None:
    """The config is the image's id, and every layer unpacks to its diff id; it runs where it is pulled."""
    name = f"{registry.host}/whole:latest"
    layers = [busybox_layer, images.small_layer(whole="yes")]
    load(daemon, name, *layers)
    assert daemon.out("push", f"{registry.host}/whole").startswith("Using default tag: latest")
    _, manifest = manifest_of(registry, "whole", "latest")
    assert manifest["config"]["digest"] == images.image_id(layers)
    for descriptor, layer in zip(manifest["layers"], layers, strict=True):
        status, _, blob = registry.call("GET", f"/v2/whole/blobs/{descriptor['digest']}")
        assert status == 200
        assert digest_of(blob) == descriptor["digest"]
        assert len(blob) == descriptor["size"]
        assert gzip.decompress(blob) == layer
    daemon.docker("rmi", name)
    daemon.docker("pull", "-q", name)
    assert daemon.out("run", "--rm", "--network", "none", name, "cat", "/whole") == "yes"


def test_the_digest_is_known_afterwards(daemon: Daemon, registry: Registry, busybox_layer: bytes) -> None:
    """RepoDigests names it, an event tells of it, and the SDK gets the digest as aux."""
    name = f"{registry.host}/known"
    load(daemon, f"{name}:1", busybox_layer, images.small_layer(known="1"))
    with contextlib.closing(daemon.sdk()) as client:
        begun = client.info()["SystemTime"]
        lines = list(client.images.push(name, tag="1", stream=True, decode=True))
        digest, _ = manifest_of(registry, "known", "1")
        aux = [line["aux"] for line in lines if "aux" in line]
        assert [(one["Tag"], one["Digest"]) for one in aux] == [("1", digest)]
        assert f"{name}@{digest}" in client.images.get(f"{name}:1").attrs["RepoDigests"]
        until = client.info()["SystemTime"]
    form = "{{.Actor.ID}} {{.Actor.Attributes.name}}"
    events = daemon.out("events", "--since", begun, "--until", until, "--filter", "event=push", "--format", form)
    assert events == f"{name}:1 {name}"


def test_all_tags(daemon: Daemon, registry: Registry, busybox_layer: bytes) -> None:
    name = f"{registry.host}/every"
    for tag in ("one", "two"):
        load(daemon, f"{name}:{tag}", busybox_layer, images.small_layer(every=tag))
    printed = daemon.out("push", "--all-tags", name)
    assert "one: digest: sha256:" in printed
    assert "two: digest: sha256:" in printed
    status, _, body = registry.call("GET", "/v2/every/tags/list")
    assert (status, sorted(json.loads(body)["tags"])) == (200, ["one", "two"])


def test_the_same_bytes_every_time(daemon: Daemon, registry: Registry, busybox_layer: bytes) -> None:
    """Layers are packed without a name or a time: another registry gets the same digest."""
    layer = images.small_layer(same="1")
    load(daemon, f"{registry.host}/same:1", busybox_layer, layer)
    daemon.docker("push", "-q", f"{registry.host}/same:1")
    with Registry(daemon.box, kind="docker") as second:
        daemon.docker("tag", f"{registry.host}/same:1", f"{second.host}/same:1")
        daemon.docker("push", "-q", f"{second.host}/same:1")
        assert manifest_of(second, "same", "1") == manifest_of(registry, "same", "1")


@pytest.mark.ours
def test_a_pulled_image_keeps_its_digest(daemon: Daemon, registry: Registry, busybox_layer: bytes) -> None:
    """Pulled and pushed elsewhere it is the same manifest, byte for byte: OCI, Docker's, zstd layers."""
    layers = [busybox_layer, images.small_layer(kept="1")]
    for kind, docker in (("oci", False), ("docker", True)):
        pushed = registry.push_image(f"from/{kind}", "1", layers, docker=docker)
        daemon.docker("pull", "-q", f"{registry.host}/from/{kind}:1")
        daemon.docker("tag", f"{registry.host}/from/{kind}:1", f"{registry.host}/to/{kind}:1")
        assert f"1: digest: {pushed['digest']} size: {pushed['size']}" in daemon.out(
            "push", f"{registry.host}/to/{kind}:1"
        )
        assert manifest_of(registry, f"to/{kind}", "1")[0] == pushed["digest"]
        daemon.clear_images()


@pytest.mark.ours
def test_an_index_that_is_all_here_is_pushed_whole(daemon: Daemon, registry: Registry, busybox_layer: bytes) -> None:
    """One platform and its attestation, as buildx makes it: the digest is the index's, the attestation is there."""
    machine = images.config_of([])["architecture"]
    own = registry.push_image("built", "", [busybox_layer, images.small_layer(built="1")])
    statement = registry.push_blob("built", b'{"predicate":{}}', "application/vnd.in-toto+json")
    config = registry.push_blob("built", b"{}", "application/vnd.oci.image.config.v1+json")
    raw = {
        "schemaVersion": 2,
        "mediaType": own["mediaType"],
        "config": config,
        "layers": [statement],
    }
    attestation = registry.push_manifest("built", "", raw)
    marked = {
        **on_platform(attestation, "unknown", "unknown"),
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": own["digest"],
        },
    }
    index = registry.push_index("built", "1", [on_platform(own, machine), marked])
    daemon.docker("pull", "-q", f"{registry.host}/built:1")
    with Registry(daemon.box, kind="docker") as second:
        daemon.docker("tag", f"{registry.host}/built:1", f"{second.host}/built:1")
        assert f"1: digest: {index['digest']}" in daemon.out("push", f"{second.host}/built:1")
        for digest in (own["digest"], attestation["digest"]):
            assert manifest_of(second, "built", digest)[0] == digest
        assert second.call("GET", f"/v2/built/blobs/{statement['digest']}")[2] == b'{"predicate":{}}'


def test_what_cannot_be_pushed(daemon: Daemon, registry: Registry) -> None:
    """Docker's words, by name, by tag and by digest."""
    daemon.docker("tag", "busybox", f"{registry.host}/here:1")

    def refused(*args: str) -> str:
        done = daemon.docker("push", *args, check=False)
        assert done.returncode == 1
        return done.stderr.strip()

    host = registry.host
    assert refused(f"{host}/gone") == f"An image does not exist locally with the tag: {host}/gone"
    assert refused("--all-tags", f"{host}/gone") == f"An image does not exist locally with the tag: {host}/gone"
    assert refused(f"{host}/here:2") == f"tag does not exist: {host}/here:2"
    assert "cannot push a digest reference" in refused(f"{host}/here@{digest_of(b'')}")


@pytest.mark.ours
def test_another_platform_is_not_pushed(daemon: Daemon, registry: Registry) -> None:
    daemon.docker("tag", "busybox", f"{registry.host}/mine:1")
    machine = images.config_of([])["architecture"]
    daemon.docker("push", "-q", "--platform", f"linux/{machine}", f"{registry.host}/mine:1")
    done = daemon.docker("push", "--platform", "linux/s390x", f"{registry.host}/mine:1", check=False)
    assert done.returncode == 1
    assert f"image with reference {registry.host}/mine:1 was found but its platform (linux/{machine})" in done.stderr


def test_who_may_not_push(daemon: Daemon, tmp_path: Path) -> None:
    """The registry's own word, after the line that says where it goes; with the right credentials it works."""
    passwords = tmp_path / "htpasswd"
    passwords.write_bytes(b"me:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)) + b"\n")
    settings = {"auth": {"htpasswd": {"realm": "test", "path": str(passwords)}}}
    with Registry(daemon.box, kind="docker", settings=settings) as registry:
        name = f"{registry.host}/private:1"
        daemon.docker("tag", "busybox", name)
        done = daemon.docker("push", name, check=False)
        assert done.returncode == 1
        assert done.stderr.strip().endswith("no basic auth credentials")
        with contextlib.closing(daemon.sdk()) as client:
            auth = {"username": "me", "password": "secret"}
            lines = list(client.images.push(name, auth_config=auth, stream=True, decode=True))
            assert [line["aux"]["Tag"] for line in lines if "aux" in line] == ["1"]


def test_nobody_there(daemon: Daemon) -> None:
    daemon.docker("tag", "busybox", "127.0.0.1:1/nobody:1")
    done = daemon.docker("push", "127.0.0.1:1/nobody:1", check=False)
    assert done.returncode == 1
    assert "dial tcp 127.0.0.1:1: connect: connection refused" in done.stderr


def test_hanging_up_ends_it(daemon: Daemon, busybox_layer: bytes) -> None:
    """Ctrl-C on the client: the upload ends, the daemon goes on, and the next push completes."""
    tar = images.Tar()
    tar.add("large", bytes(range(256)) * 100_000)
    with Registry(daemon.box, kind="docker") as registry:
        name = f"{registry.host}/cut:1"
        load(daemon, name, busybox_layer, tar.bytes())
        assert registry._process is not None
        registry._process.send_signal(signal.SIGSTOP)
        try:
            client = daemon.spawn("push", name)
            eventually("the push is under way", lambda: client.stdout is not None and client.stdout.readline())
            client.send_signal(signal.SIGINT)
            client.communicate(timeout=20)
        finally:
            registry._process.send_signal(signal.SIGCONT)
        assert "1: digest: sha256:" in daemon.out("push", name)


@pytest.mark.ours
def test_an_oci_layout_keeps_its_digest(
    daemon: Daemon, registry: Registry, busybox_layer: bytes, tmp_path: Path
) -> None:
    """skopeo's OCI archive, gzip or zstd, loaded and pushed: the registry's digest is the archive's."""
    if find("skopeo") is None:
        pytest.skip("skopeo is not installed")
    source = tmp_path / "in.tar"
    source.write_bytes(images.docker_archive(["laid/out:1"], [busybox_layer, images.small_layer(laid="out")]))
    for compression in ("gzip", "zstd"):
        target = tmp_path / f"{compression}.tar"
        run(
            *("skopeo", "copy", "--insecure-policy", "--dest-compress-format", compression),
            *(f"docker-archive:{source}", f"oci-archive:{target}:laid/out:1"),
        )
        index = json.loads(subprocess.run(["tar", "xOf", target, "index.json"], capture_output=True, check=True).stdout)
        daemon.docker("load", "-q", "-i", str(target))
        daemon.docker("tag", "laid/out:1", f"{registry.host}/laid:{compression}")
        assert index["manifests"][0]["digest"] in daemon.out("push", f"{registry.host}/laid:{compression}")
        assert daemon.out("run", "--rm", "--network", "none", "laid/out:1", "cat", "/laid") == "out"
        daemon.clear_images()
