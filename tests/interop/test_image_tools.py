"""Other people's tools and ours move the same images, and every digest stays what it was (the issue's Show 2).

skopeo copies between registries, daemons, archives and layouts; dockerd, podman and buildah pull from our registry and
push to it; our daemon does the same with Debian's docker-registry.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import images
from support.box import Box
from support.commands import find
from support.daemons import Daemon, Dockerd, Wherryd, reference_missing, standing
from support.registries import Registry

pytestmark = [pytest.mark.root, pytest.mark.net, pytest.mark.timeout(180)]

SERVERS = ("wherry", "docker")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of two layers, as ``docker save`` writes it."""
    path = tmp_path_factory.mktemp("archive") / "image.tar"
    layers = [images.busybox_layer(), images.small_layer(**{"etc/motd": "hello\n"})]
    path.write_bytes(images.docker_archive(["two:latest"], layers))
    return path


@pytest.fixture(scope="module")
def ours(archive: Path) -> Iterator[Daemon]:
    with standing(Wherryd(), archive.read_bytes()) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def theirs(archive: Path) -> Iterator[Daemon]:
    if reason := reference_missing():
        pytest.skip(reason)
    with standing(Dockerd(), archive.read_bytes()) as daemon:
        yield daemon


@pytest.fixture(params=SERVERS)
def registry(request: pytest.FixtureRequest, ours: Daemon) -> Iterator[Registry]:
    """A registry on the loopback of our daemon's box."""
    with Registry(ours.box, kind=request.param) as server:
        yield server


class Tools:
    """Programs run in a daemon's box, with a scratch directory of their own."""

    def __init__(self, box: Box, directory: Path) -> None:
        self.box = box
        self.directory = directory

    def run(self, *argv: str, **env: str) -> str:
        program = find(argv[0])
        if program is None:
            pytest.skip(f"{argv[0]} is not on this machine: tools/packages installs it")
        done = subprocess.run(
            self.box.argv(program, *argv[1:]),
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.directory), **env},
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(argv)} exited {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def skopeo(self, *argv: str) -> str:
        return self.run("skopeo", "--insecure-policy", *argv)

    def copy(self, source: str, target: str, *options: str) -> None:
        plain = ["--src-tls-verify=false"] * source.startswith("docker://")
        plain += ["--dest-tls-verify=false"] * target.startswith("docker://")
        self.skopeo("copy", *plain, *options, source, target)

    def digest(self, image: str) -> str:
        """The digest of an image's manifest, computed here from its bytes."""
        plain = ["--tls-verify=false"] * image.startswith("docker://")
        raw = self.skopeo("inspect", "--raw", *plain, image)
        return "sha256:" + hashlib.sha256(raw.encode()).hexdigest()


@pytest.fixture
def tools(ours: Daemon, tmp_path: Path) -> Tools:
    return Tools(ours.box, tmp_path)


def image_id(daemon: Daemon, name: str) -> str:
    return daemon.out("image", "inspect", "--format", "{{.Id}}", name)


def repo_digest(daemon: Daemon, name: str) -> str:
    digests = json.loads(daemon.out("image", "inspect", "--format", "{{json .RepoDigests}}", name))
    repository = name.rpartition(":")[0]
    return next(one.partition("@")[2] for one in digests if one.startswith(f"{repository}@"))


# --- skopeo


def test_skopeo_moves_an_archive_through_a_registry_and_back(registry: Registry, tools: Tools, archive: Path) -> None:
    """docker-archive → registry → oci layout → registry: one digest all the way."""
    first, second = f"docker://{registry.host}/one:a", f"docker://{registry.host}/two:b"
    layout = f"oci:{tools.directory}/layout:x"
    tools.copy(f"docker-archive:{archive}", first, "--format", "oci")
    tools.copy(first, layout)
    tools.copy(layout, second)
    assert tools.digest(first) == tools.digest(layout) == tools.digest(second)


def test_skopeo_takes_from_our_daemon_what_it_put_there(
    registry: Registry, tools: Tools, ours: Daemon, archive: Path
) -> None:
    """registry → docker-daemon → docker-archive and registry: the image's id, the digest of its config, is the same."""
    name = "by-skopeo:1"
    source = f"docker://{registry.host}/image:1"
    tools.copy(f"docker-archive:{archive}", source)
    tools.copy(source, f"docker-daemon:{name}", "--dest-daemon-host", ours.host)
    config = json.loads(tools.skopeo("inspect", "--raw", "--tls-verify=false", source))["config"]["digest"]
    assert image_id(ours, name) == config
    back = f"docker-archive:{tools.directory}/back.tar"
    tools.copy(f"docker-daemon:{name}", back, "--src-daemon-host", ours.host)
    assert json.loads(tools.skopeo("inspect", "--raw", back))["config"]["digest"] == config
    tools.copy(f"docker-daemon:{name}", f"docker://{registry.host}/again:1", "--src-daemon-host", ours.host)
    assert tools.skopeo("inspect", "--config", "--tls-verify=false", source) == tools.skopeo(
        "inspect", "--config", "--tls-verify=false", f"docker://{registry.host}/again:1"
    )


# --- daemons


def test_what_our_daemon_pulled_it_pushes_byte_for_byte(registry: Registry, tools: Tools, ours: Daemon) -> None:
    """Pushed by skopeo, pulled and pushed elsewhere by us: the manifest is the same bytes."""
    source, target = f"{registry.host}/source:1", f"{registry.host}/target:1"
    archive = tools.directory / "new.tar"
    archive.write_bytes(images.docker_archive(["new:latest"], [images.small_layer(of=str(tools.directory))]))
    tools.copy(f"docker-archive:{archive}", f"docker://{source}")
    ours.docker("pull", source)
    assert repo_digest(ours, source) == tools.digest(f"docker://{source}")
    ours.docker("tag", source, target)
    ours.docker("push", target)
    assert tools.digest(f"docker://{source}") == tools.digest(f"docker://{target}") == repo_digest(ours, target)


def test_an_image_loaded_here_is_pushed_and_pulled_again(registry: Registry, ours: Daemon) -> None:
    """What a person does first: tag, push, rmi, pull, run."""
    name = f"{registry.host}/mine:1"
    ours.docker("tag", "two:latest", name)
    pushed = image_id(ours, name)
    ours.docker("push", name)
    ours.docker("rmi", "-f", pushed)
    ours.docker("pull", name)
    assert image_id(ours, name) == pushed
    assert ours.out("run", "--rm", "--network", "none", name, "cat", "/etc/motd") == "hello"
    ours.docker("tag", name, "two:latest")


@pytest.mark.parametrize("kind", SERVERS)
def test_dockerd_pushes_to_both_registries_and_pulls(kind: str, theirs: Daemon) -> None:
    with Registry(theirs.box, kind=kind) as server:
        name = f"{server.host}/mine:1"
        theirs.docker("tag", "two:latest", name)
        pushed = image_id(theirs, name)
        theirs.docker("push", name)
        theirs.docker("rmi", "-f", pushed)
        theirs.docker("pull", name)
        assert image_id(theirs, name) == pushed
        assert theirs.out("run", "--rm", "--network", "none", name, "cat", "/etc/motd") == "hello"
        theirs.docker("tag", name, "two:latest")


def test_one_directory_is_served_by_both_registries(ours: Daemon, tmp_path: Path) -> None:
    """Pushed through Debian's, pulled through ours, and the other way round."""
    for first, second in (SERVERS, reversed(SERVERS)):
        storage = tmp_path / first
        with Registry(ours.box, kind=first, storage=storage) as server:
            name = f"{server.host}/kept:1"
            ours.docker("tag", "two:latest", name)
            ours.docker("push", name)
            digest = repo_digest(ours, name)
            ours.docker("rmi", name)
        with Registry(ours.box, kind=second, storage=storage) as server:
            name = f"{server.host}/kept:1"
            ours.docker("pull", name)
            assert repo_digest(ours, name) == digest
            ours.docker("rmi", name)


# --- podman and buildah


@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_it_pulls_from_our_registry(program: str, ours: Daemon, tools: Tools) -> None:
    # Podman wants its run directory's path short.
    with Registry(ours.box, kind="wherry") as server, tempfile.TemporaryDirectory(prefix="wtpod-") as short:
        name = f"{server.host}/image:1"
        ours.docker("tag", "two:latest", name)
        ours.docker("push", name)
        ours.docker("rmi", name)
        store = ("--root", f"{short}/root", "--runroot", f"{short}/run", "--storage-driver", "vfs")
        tools.run(program, *store, "pull", "--tls-verify=false", name)
        form = "{{.Digest}}" if program == "podman" else "{{.FromImageDigest}}"
        found = tools.run(program, *store, "inspect", "--type", "image", "--format", form, name).strip()
        assert found == tools.digest(f"docker://{name}")
