"""``wherry manifest``: docker's files, docker's words; each can go on with what the other has begun."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.answering import Answering

DOCKER = shutil.which("docker") or ""
WHERRY = f"{sys.executable} -m wherry.cli"
HOST = "registry.example:5000"
DOCKER_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
OCI_TYPE = "application/vnd.oci.image.manifest.v1+json"
LIST_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"

needs_docker = pytest.mark.skipif(not DOCKER, reason="NO docker CLI to compare with")


def manifest(media_type: str, number: int) -> bytes:
    """A manifest as a registry has it: its own spacing, its own order."""
    config = {"mediaType": "c", "size": number, "digest": f"sha256:{number:064x}"}
    layers = [{"mediaType": "l", "size": 7, "digest": f"sha256:{7:064x}"}]
    document = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers}
    return json.dumps(document, indent=2).encode()


def digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def answer(raw: bytes, media_type: str, **platform: Any) -> dict[str, Any]:
    found = {"MediaType": media_type, "Digest": digest(raw), "Raw": base64.b64encode(raw).decode()}
    return found | ({"Platform": platform} if platform else {})


AMD = manifest(DOCKER_TYPE, 1)
ARM = manifest(DOCKER_TYPE, 2)
OCI = manifest(OCI_TYPE, 3)
LIST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": LIST_TYPE,
        "manifests": [
            {
                "mediaType": DOCKER_TYPE,
                "digest": digest(AMD),
                "size": len(AMD),
                "platform": {"architecture": "amd64", "os": "linux"},
                "annotations": {"a": "b"},
            }
        ],
    }
).encode()


class Registry:
    """The daemon's side: what it finds at the registry, and what it was given to push."""

    def __init__(self, daemon: Answering) -> None:
        self.pushed: list[tuple[str, dict[str, str]]] = []
        self._daemon = daemon
        found = {
            "a:1": answer(AMD, DOCKER_TYPE, architecture="amd64", os="linux"),
            "b:1": answer(ARM, DOCKER_TYPE, architecture="arm64", os="linux", variant="v8", **{"os.version": "10"}),
            "o:1": answer(OCI, OCI_TYPE, architecture="amd64", os="linux"),
            "bare:1": answer(OCI, OCI_TYPE),
            "list:1": answer(LIST, LIST_TYPE),
            f"list:1@{digest(AMD)}": answer(AMD, DOCKER_TYPE, architecture="amd64", os="linux"),
        }
        daemon.answers = {f"/wherry/manifests/{HOST}/{name}": (200, each) for name, each in found.items()}
        daemon.answers |= {f"/wherry/manifests/{HOST}/nope:1": (404, {"message": "manifest unknown"})}
        for target in ("m:1", f"m@{digest(AMD)}", f"m@{digest(ARM)}", "oci:latest", f"oci@{digest(OCI)}"):
            daemon.answers[f"/wherry/manifests/{HOST}/{target}"] = self._put

    def _put(self, body: dict[str, str]) -> tuple[int, object]:
        target = self._daemon.requests[-1][1].partition("/manifests/")[2]
        self.pushed.append((target, body))
        return 201, {"Digest": digest(base64.b64decode(body["Raw"]))}


class Home:
    """One user's directory, in which either program runs."""

    def __init__(self, place: Path, daemon: Answering) -> None:
        self.place = place
        self._env = {"PATH": os.environ["PATH"], "HOME": str(place), "COLUMNS": "80"}
        self._env |= {"DOCKER_CONFIG": str(place), "DOCKER_HOST": daemon.host}

    def run(self, program: str, line: str) -> tuple[int, str, str]:
        command = f"{program} manifest {line.replace('HOST', HOST)}"
        done = subprocess.run(
            command, shell=True, env=self._env, capture_output=True, text=True, check=False, timeout=30
        )
        return done.returncode, done.stdout, done.stderr.replace("docker manifest", "wherry manifest")

    def files(self) -> dict[str, Any]:
        found = sorted(path for path in self.place.glob("manifests/*/*") if path.is_file())
        return {str(path.relative_to(self.place / "manifests")): json.loads(path.read_text()) for path in found}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    daemon = Answering(tmp_path_factory.mktemp("answering") / "s")
    yield daemon
    daemon.close()


@pytest.fixture
def registry(daemon: Answering) -> Registry:
    return Registry(daemon)


@pytest.fixture
def home(tmp_path: Path, daemon: Answering, registry: Registry) -> Home:
    home = Home(tmp_path, daemon)
    assert home.run(WHERRY, "create HOST/m:1 HOST/a:1 HOST/b:1") == (0, f"Created manifest list {HOST}/m:1\n", "")
    return home


def test_a_list_lies_in_dockers_files(home: Home) -> None:
    """One directory a list, one file a manifest; the manifest stays byte for byte what it was."""
    files = home.files()
    assert list(files) == [
        "registry.example-5000_m-1/registry.example-5000_a-1",
        "registry.example-5000_m-1/registry.example-5000_b-1",
    ]
    entry = files["registry.example-5000_m-1/registry.example-5000_b-1"]
    assert list(entry) == ["Ref", "Descriptor", "Raw", "SchemaV2Manifest"]
    assert entry["Ref"] == f"{HOST}/b:1"
    assert entry["Descriptor"] == {
        "mediaType": DOCKER_TYPE,
        "digest": digest(ARM),
        "size": len(ARM),
        "platform": {"architecture": "arm64", "os": "linux", "os.version": "10", "variant": "v8"},
    }
    assert base64.b64decode(entry["Raw"]) == ARM
    assert entry["SchemaV2Manifest"] == json.loads(ARM)


LOCAL = [
    "inspect HOST/m:1",
    "inspect -v HOST/m:1",
    "inspect HOST/m:1 HOST/a:1",
    "inspect -v HOST/m:1 HOST/a:1",
    "inspect HOST/m:1 HOST/zz:1",
    "inspect HOST/zz HOST/zz:1",
    "inspect UP",
    "inspect HOST/m:1 UP",
    "annotate HOST/m:1 HOST/a:1 --os-version 1 --os-features x,y --os-features z,x --variant v9",
    "annotate HOST/m:1 HOST/a:1 --os windows --arch 386",
    "annotate HOST/m:1 HOST/a:1 --arch foo",
    "annotate HOST/m:1 HOST/a:1 --os windows --arch arm64",
    "annotate HOST/m:1 HOST/zz:1 --arch arm",
    "annotate HOST/zz HOST/zz:1",
    "annotate UP HOST/zz:1",
    "annotate HOST/m:1 UP",
    "annotate HOST/m:1",
    "create HOST/m:1 HOST/a:1",
    "create --amend HOST/m:1 HOST/a:1",
    "create UP HOST/a:1",
    "create HOST/x UP",
    "create HOST/x",
    "push HOST/zz",
    "push UP",
    "push",
    "rm HOST/m:1",
    "rm HOST/m:1 HOST/zz UP",
    "rm",
    "nope",
]


@needs_docker
@pytest.mark.parametrize("line", LOCAL)
def test_says_and_leaves_what_docker_does(line: str, home: Home) -> None:
    """On a list that is already here nothing needs a registry: both programs work on the same files."""
    begun = home.place / "manifests"
    kept = home.place / "kept"
    shutil.copytree(begun, kept)
    theirs, their_files = home.run(DOCKER, line), home.files()
    shutil.rmtree(begun, ignore_errors=True)
    shutil.copytree(kept, begun)
    ours = home.run(WHERRY, line)
    if line == "nope" or "requires" in theirs[2]:  # usage texts name the program
        assert ours[0] == theirs[0]
        return
    assert ours == theirs
    assert home.files() == their_files


def test_a_pushed_list_has_its_manifests_first(home: Home, registry: Registry) -> None:
    """Each goes into the list's repository, by its digest, from the repository where it was found."""
    code, out, err = home.run(WHERRY, "push HOST/m:1")
    assert (code, err) == (0, "")
    pinned = [f"{HOST}/m@{digest(AMD)}", f"{HOST}/m@{digest(ARM)}"]
    assert [target for target, _ in registry.pushed] == [*pinned, f"{HOST}/m:1"]
    assert [body["Source"] for _, body in registry.pushed] == [f"{HOST}/a", f"{HOST}/b", ""]
    raw = base64.b64decode(registry.pushed[-1][1]["Raw"])
    expected = [f"Pushed ref {name} with digest: {name.partition('@')[2]}" for name in pinned]
    assert out.splitlines() == [*expected, digest(raw)]
    assert registry.pushed[-1][1]["MediaType"] == json.loads(raw)["mediaType"] == LIST_TYPE
    assert raw.decode() + "\n" == home.run(WHERRY, "inspect HOST/m:1")[1]


def test_purge_forgets_the_list(home: Home) -> None:
    assert home.run(WHERRY, "push -p HOST/m:1")[0] == 0
    assert home.files() == {}


def test_a_list_of_oci_manifests_is_an_oci_index(home: Home, registry: Registry) -> None:
    assert home.run(WHERRY, "create HOST/oci HOST/o:1")[0] == 0
    assert "OCIManifest" in next(iter(home.files().values())) or len(home.files()) == 3
    assert home.run(WHERRY, "push HOST/oci")[0] == 0
    assert registry.pushed[-1][1]["MediaType"] == "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    ("line", "err"),
    [
        ("create HOST/x HOST/nope:1", f"no such manifest: {HOST}/nope:1\n"),
        ("create HOST/x HOST/list:1", f"{HOST}/list:1 is a manifest list\n"),
        ("inspect HOST/nope:1", f"no such manifest: {HOST}/nope:1\n"),
    ],
)
def test_what_the_registry_does_not_have(line: str, err: str, home: Home) -> None:
    before = home.files()
    assert home.run(WHERRY, line) == (1, "", err)
    assert home.files() == before


def test_without_a_platform_nothing_is_pushed(home: Home, registry: Registry) -> None:
    assert home.run(WHERRY, "create HOST/y HOST/bare:1")[0] == 0
    err = f"manifest {HOST}/bare:1 must have an OS and Architecture to be pushed to a registry\n"
    assert home.run(WHERRY, "push HOST/y") == (1, "", err)
    assert registry.pushed == []


def test_a_list_stays_in_its_registry(home: Home) -> None:
    assert home.run(WHERRY, "create other.example/m HOST/a:1")[0] == 0
    why = f"cannot use source images from a different registry than the target image: {HOST} != other.example\n"
    assert home.run(WHERRY, "push other.example/m") == (1, "", why)
    shown = f"failed to assemble ManifestDescriptor: {why}"
    assert home.run(WHERRY, "inspect other.example/m") == (1, "", shown)


def test_a_manifest_of_the_registry_is_shown_as_it_is(home: Home) -> None:
    assert home.run(WHERRY, "inspect HOST/a:1") == (0, json.dumps(json.loads(AMD), indent="\t") + "\n", "")
    shown = json.loads(home.run(WHERRY, "inspect -v HOST/list:1")[1])
    assert [one["Ref"] for one in shown] == [f"{HOST}/list:1@{digest(AMD)}"]
    rows = json.loads(home.run(WHERRY, "inspect HOST/list:1")[1])["manifests"]
    assert list(rows[0]) == ["mediaType", "size", "digest", "platform"]
