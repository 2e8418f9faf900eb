"""``images --tree`` is drawn as docker draws it: on terminals of any width, and in a pipe."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.answering import Answering
from support.terminal import Terminal

DOCKER = shutil.which("docker") or ""
WHERRY = f"{sys.executable} -m wherry.cli"
pytestmark = pytest.mark.skipif(not DOCKER, reason="NO docker CLI to compare with")


def image(number: int, names: list[str], *manifests: dict[str, Any], containers: int = -1) -> dict[str, Any]:
    return {
        "Containers": containers,
        "Created": 1_600_000_000 + number,
        "Id": f"sha256:{number:x}{'a' * 63}",
        "Labels": None,
        "ParentId": "",
        "RepoDigests": [],
        "RepoTags": names,
        "SharedSize": -1,
        "Size": 12_345_678 * number,
        **({"Manifests": [*manifests]} if manifests else {}),
    }


def platform(number: int, text: str, *, here: bool = True, used: bool = False) -> dict[str, Any]:
    digest = f"sha256:{number:x}{'b' * 63}"
    system, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    named = {"os": system, "architecture": architecture} | ({"variant": variant} if variant else {})
    return {
        "ID": digest,
        "Descriptor": {"mediaType": "m", "digest": digest, "size": 5},
        "Available": here,
        "Size": {"Content": 3_000_000 * here, "Total": 9_000_000 * here},
        "Kind": "image",
        "ImageData": {"Platform": named, "Containers": ["c"] * used, "Size": {"Unpacked": 6_000_000 * here}},
    }


ATTESTATION = {
    "ID": f"sha256:{'e' * 64}",
    "Descriptor": {"mediaType": "m", "digest": f"sha256:{'e' * 64}", "size": 5},
    "Available": True,
    "Size": {"Content": 10, "Total": 10},
    "Kind": "attestation",
    "AttestationData": {"For": f"sha256:{'b' * 64}"},
}
LISTS = {
    "nothing": [],
    "plain": [image(1, ["b:1"]), image(2, ["a:1", "aa:22"])],
    "platforms": [
        image(1, ["multi:1"], platform(1, "linux/amd64", used=True), platform(2, "linux/arm64/v8", here=False)),
        image(2, ["name:1", "name:333"], platform(3, "windows/amd64"), platform(4, ""), ATTESTATION),
        image(3, []),
        image(4, ["used:1"], containers=1),
    ],
    "long": [image(1, [f"{'a' * 60}:1", f"registry.example:5000/{'b' * 80}:2"], platform(1, "unknown/unknown"))],
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    daemon = Answering(tmp_path_factory.mktemp("answering") / "s")
    yield daemon
    daemon.close()


def env(daemon: Answering, place: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(place), "DOCKER_HOST": daemon.host, "TERM": "xterm"}


@pytest.mark.parametrize("listed", LISTS)
@pytest.mark.parametrize("columns", [50, 80, 130])
def test_at_a_terminal(listed: str, columns: int, daemon: Answering, tmp_path: Path) -> None:
    daemon.answers = {"/images/json": (200, LISTS[listed])}
    screens = []
    for program in (DOCKER, WHERRY):
        command = [*program.split(), "images", "--tree"]
        with Terminal(command, env(daemon, tmp_path), columns=columns) as terminal:
            screens.append((terminal.rest(), terminal.wait()))
    assert screens[1] == screens[0]


LINES = [(name, "") for name in LISTS] + [
    ("platforms", "-a"),
    ("platforms", "-f dangling=true"),
    ("plain", "a:1"),
    ("plain", "-q"),
    ("plain", "--no-trunc"),
    ("plain", "--digests"),
    ("plain", "--format x"),
]


@pytest.mark.parametrize(("listed", "options"), LINES)
def test_in_a_pipe(listed: str, options: str, daemon: Answering, tmp_path: Path) -> None:
    daemon.answers = {"/images/json": (200, LISTS[listed])}
    said = []
    for program in (DOCKER, WHERRY):
        daemon.requests.clear()
        done = subprocess.run(
            f"{program} images --tree {options}",
            shell=True,
            capture_output=True,
            env=env(daemon, tmp_path),
            check=False,
            timeout=30,
        )
        said.append((done.returncode, done.stdout, done.stderr, [*daemon.requests]))
    assert said[1] == said[0]
