"""``docker pull`` from a registry on loopback, as the docker CLI and the SDK see it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
import pytest

from support.commands import eventually
from support.daemons import Daemon
from support.images import busybox_layer, small_layer
from support.registries import INDEX, MANIFEST, OCI, Registry, on_platform

PLAIN = f"{OCI}.layer.v1.tar"


@pytest.fixture(scope="module")
def registry(shared_daemon: Daemon) -> Iterator[Registry]:
    with Registry(shared_daemon.box) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_images(request: pytest.FixtureRequest) -> Iterator[None]:
    shared: Daemon | None = request.getfixturevalue("daemon") if "daemon" in request.fixturenames else None
    yield
    if shared is not None:
        shared.clear_images()


def lines_of(daemon: Daemon, **query: str) -> list[dict[str, Any]]:
    """The JSON lines of one pull."""
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    answer = daemon.api("POST", f"/images/create?{asked}")
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.decode().splitlines() if line.strip()]


def stored(daemon: Daemon) -> list[str]:
    """What lies in the store, by name; snapshots without those made ahead."""
    root = Path(daemon.data_root)
    return sorted(
        [
            *(path.name for path in (root / "content").glob("*/sha256/*")),
            *(f"ingest/{path.name}" for path in (root / "content/ingest").iterdir()),
            *(f"snapshot/{path.parent.name}" for path in (root / "snapshots").glob("*/fs") if any(path.iterdir())),
        ]
    )


def tree(daemon: Daemon, image: str) -> str:
    return daemon.out("run", "--rm", image, "sh", "-c", "cat /a /b 2>/dev/null; true")


def test_the_cli_pulls_and_runs_an_image(daemon: Daemon, registry: Registry) -> None:
    name = f"{registry.host}/box:1"
    top = registry.push_image("box", "1", [small_layer(a="one"), busybox_layer(), small_layer(b="two")], docker=True)
    pulled = daemon.docker("pull", name)
    assert pulled.stdout.splitlines()[-3:] == [
        f"Digest: {top['digest']}",
        f"Status: Downloaded newer image for {name}",
        name,
    ]
    assert "1: Pulling from box" in pulled.stdout
    assert pulled.stdout.count("Pull complete") == 3
    assert tree(daemon, name) == "onetwo"
    again = daemon.docker("pull", name).stdout
    assert again.splitlines() == [
        "1: Pulling from box",
        f"Digest: {top['digest']}",
        f"Status: Image is up to date for {name}",
        name,
    ]
    shown = json.loads(daemon.out("image", "inspect", name))[0]
    assert shown["RepoTags"] == [name]
    assert shown["RepoDigests"] == [f"{registry.host}/box@{top['digest']}"]


def test_the_words_are_dockers(daemon: Daemon, registry: Registry) -> None:
    layers = [small_layer(a="1"), small_layer(b="2")]
    registry.push_image("words", "1", layers)
    registry.push_image("words", "2", layers[:1])
    said = lines_of(daemon, fromImage=f"{registry.host}/words", tag="1")
    assert said[0] == {"status": "Pulling from words", "id": "1"}
    assert [line["status"] for line in said[1:3]] == ["Pulling fs layer"] * 2
    assert said[1]["progressDetail"] == {}
    first = [line["status"] for line in said if line.get("id") == said[1]["id"] and line["status"] != "Waiting"]
    assert first == [
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]
    moved = next(line for line in said if line["status"] == "Extracting")
    assert moved["progressDetail"]["current"] == moved["progressDetail"]["total"] > 0
    assert moved["progress"].startswith("[==================================================>]")
    other = lines_of(daemon, fromImage=f"{registry.host}/words", tag="2")
    assert other[1] == {"status": "Already exists", "progressDetail": {}, "id": said[1]["id"]}


def test_all_tags(daemon: Daemon, registry: Registry) -> None:
    for tag in ("1", "2"):
        registry.push_image("many", tag, [small_layer(a=tag)])
    out = daemon.docker("pull", "-a", f"{registry.host}/many").stdout
    assert f"Status: Downloaded newer image for {registry.host}/many" in out
    tags = daemon.out("images", "--format", "{{.Tag}}", f"{registry.host}/many").split()
    assert sorted(tags) == ["1", "2"]


def test_by_digest_and_as_an_event(daemon: Daemon, registry: Registry) -> None:
    top = registry.push_image("bydigest", "1", [small_layer(a="1")])
    name = f"{registry.host}/bydigest@{top['digest']}"
    out = daemon.docker("pull", name).stdout
    assert out.startswith(f"{name}: Pulling from bydigest\n")
    assert daemon.out("images", "--digests", "-q", f"{registry.host}/bydigest")
    assert daemon.out("images", "--format", "{{.Tag}}", f"{registry.host}/bydigest") == "<none>"
    now = int(time.time())
    events = daemon.out(
        "events", f"--since={now - 20}", f"--until={now + 1}", "--filter", "event=pull", "--format", "json"
    )
    last = json.loads(events.splitlines()[-1])
    assert (last["id"], last["Actor"]["Attributes"]["name"]) == (name, f"{registry.host}/bydigest")


def test_the_platform_is_chosen(daemon: Daemon, registry: Registry) -> None:
    mine = registry.push_image("multi", "amd", [small_layer(a="amd64")], config={"architecture": "amd64"})
    theirs = registry.push_image("multi", "s390x", [small_layer(a="s390x")], config={"architecture": "s390x"})
    top = registry.push_index("multi", "1", [on_platform(theirs, "s390x"), on_platform(mine, "amd64")])
    name = f"{registry.host}/multi:1"
    assert f"Digest: {top['digest']}" in daemon.docker("pull", "--platform", "linux/s390x", name).stdout
    assert daemon.out("image", "inspect", "--format", "{{.Architecture}}", name) == "s390x"
    assert f"Digest: {top['digest']}" in daemon.docker("pull", "--platform", "linux/amd64", name).stdout
    assert daemon.out("image", "inspect", "--format", "{{.Architecture}}", name) == "amd64"
    failed = daemon.docker("pull", "--platform", "linux/arm64", name, check=False)
    assert failed.returncode == 1
    assert failed.stderr.strip() == "no matching manifest for linux/arm64 in the manifest list entries"
    warned = daemon.docker("pull", "--platform", "linux/arm64", f"{registry.host}/multi:amd").stdout
    assert (
        f"WARNING: image with reference {registry.host}/multi:amd was found but its platform (linux/amd64) "
        "does not match the specified platform (linux/arm64)"
    ) in warned


def test_the_sdk_pulls(client: docker.DockerClient, daemon: Daemon, registry: Registry) -> None:
    registry.push_image("sdk", "1", [small_layer(a="1")])
    image = client.images.pull(f"{registry.host}/sdk", tag="1")
    assert image.tags == [f"{registry.host}/sdk:1"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{host}/none:1", "manifest for {host}/none:1 not found: manifest unknown"),
        ("127.0.0.1:1/x:1", 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'),
        ("{host}/UPPER:1", "invalid reference format: repository name"),
    ],
)
def test_what_is_not_there_is_an_error_of_the_request(
    daemon: Daemon, registry: Registry, name: str, words: str
) -> None:
    failed = daemon.docker("pull", name.format(host=registry.host), check=False)
    assert failed.returncode != 0
    assert words.format(host=registry.host) in failed.stderr


def _tampered(registry: Registry, change: Callable[[bytes], bytes], part: str) -> str:
    registry.push_image(f"bad{part}", "1", [small_layer(ok="1"), small_layer(z=part * 900)])
    _, _, raw = registry.call("GET", f"/v2/bad{part}/manifests/1", Accept=MANIFEST)
    manifest = json.loads(raw)
    digest = manifest["config"]["digest"] if part == "config" else manifest["layers"][1]["digest"]
    path = registry.blob_path(digest)
    path.write_bytes(change(path.read_bytes()))
    return str(digest)


def test_wrong_bytes_are_refused_and_leave_nothing(daemon: Daemon, registry: Registry) -> None:
    before = stored(daemon)
    digest = _tampered(registry, lambda data: data[:-1] + b"x", "layer")
    failed = daemon.docker("pull", f"{registry.host}/badlayer:1", check=False)
    assert failed.stderr.strip() == f"filesystem layer verification failed for digest {digest}"
    digest = _tampered(registry, lambda data: data[:-1] + b" ", "config")
    failed = daemon.docker("pull", f"{registry.host}/badconfig:1", check=False)
    assert failed.stderr.strip() == (
        f"error pulling image configuration: image config verification failed for digest {digest}"
    )
    eventually("nothing is left of them", lambda: stored(daemon) == before)


@pytest.mark.parametrize(
    ("packed", "config", "words"),
    [
        ((b"garbage" * 100, f"{PLAIN}+gzip"), {}, "archive/tar: invalid tar header"),
        ((small_layer(b="other"), PLAIN), {}, "layers from manifest don't match image configuration"),
        ((small_layer(a="1"), PLAIN), {"os": "windows"}, 'operating system "windows" cannot be used on this platform'),
    ],
    ids=["no tar", "another diff id", "windows"],
)
def test_bad_images_are_refused_and_leave_nothing(
    daemon: Daemon, registry: Registry, packed: tuple[bytes, str], config: dict[str, Any], words: str
) -> None:
    before = stored(daemon)
    registry.push_image("evil", "1", [small_layer(a="1")], packed=[packed], config=config)
    failed = daemon.docker("pull", f"{registry.host}/evil:1", check=False)
    assert failed.returncode == 1
    assert words in failed.stderr
    eventually("nothing is left of it", lambda: stored(daemon) == before)


def test_artifacts_are_refused(daemon: Daemon, registry: Registry) -> None:
    config = registry.push_blob("chart", b"{}", "application/vnd.cncf.helm.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [config]}
    registry.push_manifest("chart", "1", manifest)
    failed = daemon.docker("pull", f"{registry.host}/chart:1", check=False)
    assert failed.stderr.strip() == "unsupported media type application/vnd.cncf.helm.config.v1+json"


def _slow_layer() -> bytes:
    return small_layer(big=os.urandom(8_000_000).hex())


def test_a_client_that_hangs_up_leaves_nothing(daemon: Daemon, registry: Registry) -> None:
    registry.push_image("gone", "1", [_slow_layer()])
    before = stored(daemon)
    process = daemon.spawn("pull", f"{registry.host}/gone:1")
    process.stdout.readline()  # type: ignore[union-attr]
    process.kill()
    process.communicate()
    eventually("nothing is left of it", lambda: stored(daemon) == before)
    assert f"{registry.host}/gone:1" not in daemon.out("images", "--format", "{{.Repository}}:{{.Tag}}")


def test_many_clients_pull_one_image(daemon: Daemon, registry: Registry) -> None:
    """All of them succeed, and the registry is asked for each layer once or twice, not eight times."""
    name = f"{registry.host}/shared:1"
    registry.push_image("shared", "1", [busybox_layer(), _slow_layer()])
    clients = [daemon.spawn("pull", name) for _ in range(8)]
    for process in clients:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert f"for {name}".encode() in out
    assert daemon.out("run", "--rm", name, "wc", "-c", "/big").split()[0] == "16000000"


def test_an_index_with_its_attestation_stays_whole(daemon: Daemon, registry: Registry) -> None:
    mine = on_platform(registry.push_image("sbom", "", [small_layer(a="1")]), "amd64")
    statement = registry.push_blob("sbom", b'{"_type":"in-toto"}', "application/vnd.in-toto+json")
    config = registry.push_blob("sbom", b'{"rootfs":{}}', f"{OCI}.config.v1+json")
    proof = registry.push_manifest(
        "sbom", "", {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [statement]}
    )
    proof["annotations"] = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": mine["digest"],
    }
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [mine, on_platform(proof, "unknown", "unknown")]}
    top = registry.push_manifest("sbom", "1", index)
    daemon.docker("pull", f"{registry.host}/sbom:1")
    kept = set(stored(daemon))
    for descriptor in (top, mine, proof, statement, config):
        assert descriptor["digest"].partition(":")[2] in kept


def test_import_from_a_url(daemon: Daemon, registry: Registry) -> None:
    data = small_layer(a="from afar")
    digest = registry.push_blob("tars", data)["digest"]
    source = f"{registry.url}/v2/tars/blobs/{digest}"
    said = lines_of(daemon, fromSrc=source, repo="afar", tag="1")
    assert said[0] == {"status": f"Downloading from {source}"}
    assert said[-1]["status"] == daemon.out("image", "inspect", "--format", "{{.Id}}", "afar:1")
    last = [line for line in said if line["status"] == "Importing"][-1]
    assert last["progressDetail"] == {"current": len(data), "total": len(data)}
    answer = daemon.api("POST", f"/images/create?fromSrc={quote(registry.url + '/none', safe='')}")
    assert answer.status == 404
    assert b"failed to GET" in answer.body


def test_killed_in_the_middle_it_goes_on_where_it_was(make_daemon: Callable[..., Daemon]) -> None:
    """What was downloaded is not downloaded again, and in the end nothing but the image is there."""
    daemon = make_daemon(load=False)
    with Registry(daemon.box) as registry:
        name = f"{registry.host}/large:1"
        registry.push_image("large", "1", [small_layer(big=os.urandom(12_000_000).hex())])
        ingest = Path(daemon.data_root, "content/ingest")
        client = daemon.spawn("pull", name)
        eventually(
            "some of it is there",
            lambda: any(path.stat().st_size > 1_000_000 for path in ingest.glob("*.partial")),
            every=0.001,
        )
        daemon.kill9()
        client.communicate()
        partial = [path.stat().st_size for path in ingest.glob("*.partial")]
        daemon.start()
        assert [path.stat().st_size for path in ingest.iterdir()] == partial
        daemon.docker("pull", name, timeout=60)
        assert list(ingest.iterdir()) == []
        assert daemon.out("images", "-q", name)
        daemon.docker("rmi", name)
        eventually("the store is empty", lambda: stored(daemon) == ["snapshot/0"])


def _peak(daemon: Daemon) -> int:
    text = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.slow
def test_memory_stays_bounded(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(load=False)
    with Registry(daemon.box) as registry:
        registry.push_image("huge", "1", [small_layer(big="0123456789abcdef" * 25_000_000)])
        daemon.docker("info")
        idle = _peak(daemon)
        daemon.docker("pull", f"{registry.host}/huge:1", timeout=120)
        assert _peak(daemon) - idle < 150_000_000
