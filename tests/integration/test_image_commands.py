"""The commands of the image store, each through the real docker CLI and through ``wherry``, compared with dockerd.

A scenario is run three times: by docker on the reference, by docker on our daemon, by wherry on our daemon; each time
beside a registry of its own that holds the same images. ``~`` before a command: its lines may come in any order.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import images
from support.comparison import Names, Said, comparable
from support.daemons import Daemon
from support.registries import Registry, on_platform
from support.terminal import Terminal

WHERRY = [sys.executable, "-m", "wherry.cli"]
ZERO = "0" * 64
_STEPS = re.compile(r"^[0-9a-f]{12}: .*\n", re.MULTILINE)
"""How a layer gets on: which of several is told of first is chance, and the words have tests of their own."""

SCENARIOS: dict[str, list[str]] = {
    "pull": [
        "pull {reg}/app:1",
        "pull {reg}/app:1",
        "pull -q {reg}/app:2",
        "pull {reg}/app",
        "pull {reg}/nothing",
        "pull -a {reg}/app:1",
        "pull {reg}/app@sha256:" + ZERO,
        "pull UP",
        "~images --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
        "image inspect --format '{{json .RepoTags}} {{json .RepoDigests}}' {reg}/app:1",
        "pull {reg}/app@{one}",
        "rmi {reg}/app:1",
        "pull {reg}/app@{one}",
        "~images --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
        "image inspect --format '{{json .RepoTags}} {{json .RepoDigests}}' {reg}/app@{one}",
        "create --name of-digest {reg}/app@{one}",
        "rmi {reg}/app@{one}",
        "rm of-digest",
        "rmi {reg}/app@{one}",
        "run --rm {reg}/app:1 true",
        "run --rm --pull never {reg}/other:1 true",
        "run --rm --pull always -q {reg}/app:2 true",
        "create --pull sometimes {reg}/app:2",
        "create --platform nonsense {reg}/app:2",
        "pull -q {reg}/multi:1",
        "image inspect --format '{{json .RepoTags}} {{json .RepoDigests}} {{.Architecture}}' {reg}/multi:1",
    ],
    "push": [
        "tag busybox {reg}/mine:1",
        "push -q {reg}/mine:1",
        "tag busybox {reg}/mine:2",
        "push -q -a {reg}/mine",
        "push {reg}/never:1",
        "push {reg}/mine:3",
        "push -a {reg}/never",
        "push {reg}/mine@sha256:" + ZERO,
        "push -a {reg}/mine:1",
        "image inspect --format '{{json .RepoTags}} {{len .RepoDigests}}' {reg}/mine:1",
        "rmi {reg}/mine:1",
        "rmi {reg}/mine:2",
        "pull -q {reg}/mine:1",
        "run --rm {reg}/mine:1 echo back",
    ],
    "removal of what was pulled": [
        "pull -q {reg}/app:1",
        "tag {reg}/app:1 local:1",
        "~images --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
        "rmi {id}",
        "rmi {reg}/app:1",
        "~images --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
        "rmi local:1",
        "pull -q {reg}/app:1",
        "tag {reg}/app:1 {reg}/app:copy",
        "rmi {reg}/app@{one}",
        "~images --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
        "rmi {id}",
        "rmi -f {id}",
        "pull -q {reg}/app@{one}",
        "images --filter dangling=true --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
        "images --filter dangling=false --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
        "image prune -f",
        "pull -q {reg}/app@{one}",
        "create --name user {reg}/app@{one}",
        "image prune -f",
        "image prune -a -f --filter label=none",
        "rm user",
        "rmi {short}",
    ],
    "tags and prune": [
        "load -i {dir}/labelled.tar",
        "~images --format '{{.Repository}}:{{.Tag}}' lab",
        "~images --filter reference=lab --filter reference=busybox --format '{{.Repository}}:{{.Tag}}'",
        "images --filter label=k=w -q",
        "images --filter before=nothing",
        "tag lab:1 lab:again",
        "tag lab:1 UP",
        "tag lab:1 lab@sha256:" + ZERO,
        "tag nothing lab:1",
        "create --name user lab:1",
        "rmi lab:again",
        "rmi lab:2",
        "rmi other/lab:x",
        "rmi lab:1",
        "image prune -a -f --filter label=k=w",
        "image prune -a -f --filter until=2023-01-02",
        "image prune -a -f --filter label!=k",
        "image prune -f",
        "rm user",
        "image prune -a -f --filter label=k --filter until=2024-06-01T00:00",
        "import {dir}/root.tar imp:1",
        "import -m again -c 'ENV a=b' {dir}/root.tar imp:1",
        "images --filter dangling=true --format '{{.Repository}}:{{.Tag}}'",
        "image inspect --format '{{.Comment}} {{json .Config.Env}}' imp:1",
        "image prune -f",
        "history --format '{{.Comment}} {{.Size}}' imp:1",
        "import {dir}/nothing.tar",
        "rmi imp:1 nothing",
        "rmi -f nothing",
    ],
    "commit": [
        "run --name box busybox sh -c 'echo new > /new'",
        "commit -q box",
        "commit -m said -a me -c 'CMD [\"cat\", \"/new\"]' -c 'LABEL a=b' box child:1",
        "run --rm child:1",
        "image inspect --format '{{.Comment}} {{.Author}} {{json .Config.Cmd}} {{json .Config.Labels}}' child:1",
        "commit nobody x",
        "commit box UP",
        "commit -c 'FROM x' box",
        "rm box",
        "rmi busybox",
        "~images -a --format '{{.Repository}}:{{.Tag}}'",
        "rmi child:1",
        "~images -a --format '{{.Repository}}:{{.Tag}}'",
    ],
}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory, busybox_layer: bytes) -> Path:
    place = tmp_path_factory.mktemp("archives")
    tags = ["lab:1", "lab:2", "other/lab:x"]
    (place / "labelled.tar").write_bytes(
        images.docker_archive(tags, [busybox_layer, layer("c", 10)], Labels={"k": "v"})
    )
    (place / "root.tar").write_bytes(layer("root", 1000))
    return place


def layer(name: str, size: int) -> bytes:
    tar = images.Tar()
    tar.add(name, b"x" * size)
    return tar.bytes()


class Side:
    """One program on one daemon, beside a registry of its own."""

    def __init__(self, daemon: Daemon, registry: Registry, program: list[str], place: Path) -> None:
        self.daemon = daemon
        self.registry = registry
        self._program = program
        self._names = Names(daemon)
        self._words = {"reg": registry.host, "dir": str(place)}

    def stock(self, busybox: bytes) -> None:
        """The images that every registry has."""
        one = self.registry.push_image("app", "1", [busybox, layer("one", 100)], docker=True)
        self.registry.push_image("app", "2", [busybox, layer("two", 100)], docker=True)
        other = self.registry.push_image("multi", "arm", [layer("arm", 9)], config={"architecture": "arm64"})
        here = self.registry.push_image("multi", "amd", [busybox, layer("amd", 9)], config={"architecture": "amd64"})
        index = [on_platform(other, "arm64", variant="v8"), on_platform(here, "amd64")]
        self.registry.push_index("multi", "1", index)
        config = json.loads(self.registry.call("GET", f"/v2/app/manifests/{one['digest']}", Accept=one["mediaType"])[2])
        identity = config["config"]["digest"]
        self._words |= {"one": one["digest"], "id": identity, "short": identity[7:19]}

    def fill(self, line: str) -> str:
        for name, value in self._words.items():
            line = line.replace(f"{{{name}}}", value)
        return line

    def answer(self, line: str) -> Said:
        """Run one command line and make what it said comparable."""
        anyhow = line.startswith("~")
        done = subprocess.run(
            [*self._program, *shlex.split(self.fill(line.removeprefix("~")))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            env=self.daemon.docker_env(),
            check=False,
        )
        out = "".join(sorted(done.stdout.splitlines(keepends=True))) if anyhow else done.stdout
        return Said(done.returncode, self._normal(out), self._normal(done.stderr))

    def _normal(self, text: str) -> str:
        text = text.replace(self.registry.host, "<registry>").replace("docker.io", "<hub>")
        text = re.sub(r"\b[Dd]ocker\b|\bwherry\b", "<program>", text)
        text = re.sub(r"\n(?:SRun|Run|See) '", "\nRun '", text)
        text = _STEPS.sub("", text)
        return self._names.normal(text)


@pytest.fixture
def sides(
    daemon: Daemon, reference: Daemon, docker_cli: str, archives: Path, busybox_layer: bytes, busybox_tar: bytes
) -> Iterator[list[Side]]:
    with ExitStack() as stack:
        made = []
        for each, program in ((reference, [docker_cli]), (daemon, [docker_cli]), (daemon, WHERRY)):
            side = Side(each, stack.enter_context(Registry(each.box, kind="docker")), program, archives)
            side.stock(busybox_layer)
            made.append(side)
        yield made
        for each in (daemon, reference):
            settle(each, busybox_tar)


def settle(daemon: Daemon, busybox_tar: bytes) -> None:
    """Nothing but busybox."""
    daemon.clear()
    daemon.docker("load", input=busybox_tar)
    daemon.clear_images()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_answers(sides: list[Side], scenario: str, busybox_tar: bytes) -> None:
    """Exit code, standard output and standard error of every command, from all three."""
    said: list[list[Said]] = []
    for side in sides:
        settle(side.daemon, busybox_tar)
        said.append([comparable(side.answer(line), line.removeprefix("~")) for line in SCENARIOS[scenario]])
    differing = []
    for line, theirs, mine, own in zip(SCENARIOS[scenario], *said, strict=True):
        for who, answer in (("docker on ours", mine), ("wherry", own)):
            if answer != theirs:
                differing.append(
                    f"{line}\n    reference {theirs.code} {theirs.stdout!r} {theirs.stderr!r}\n"
                    f"    {who:<9} {answer.code} {answer.stdout!r} {answer.stderr!r}"
                )
    assert not differing, "\n".join(differing)
