"""The commands of the image store, each through the real docker CLI and through ``wherry``, compared with dockerd.

A scenario is run three times: by docker on the reference, by docker on our daemon, by wherry on our daemon; each time
beside a registry of its own that holds the same images. ``~`` before a command: its lines may come in any order.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import images
from support.comparison import Names, Said, comparable
from support.daemons import Daemon
from support.registries import Registry, on_platform

WHERRY = [sys.executable, "-m", "wherry.cli"]
ZERO = "0" * 64
_STEPS = re.compile(r"^[0-9a-f]{12}: .*\n", re.MULTILINE)
"""How a layer gets on: which of several is told of first is chance, and the words have tests of their own."""

WAIT = "(a second passes)"
"""``--until 0s`` means the last whole second."""

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
        "~images --filter dangling=true --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
        "~images --filter dangling=false --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
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
    "what is told of it": [
        "pull -q {reg}/app:1",
        "tag {reg}/app:1 copied:1",
        "tag busybox {reg}/mine:1",
        "push -q {reg}/mine:1",
        "save -o {dir}/saved.tar {reg}/app:1",
        "load -q -i {dir}/labelled.tar",
        "import {dir}/root.tar imp:1",
        "rmi copied:1",
        "rmi {reg}/mine:1",
        "rmi {reg}/app:1",
        "rmi -f imp:1",
        "image prune -a -f --filter label=k",
        WAIT,
        "events --since {start} --until 0s --filter type=image --format '{{.Action}} {{.Actor.Attributes.name}}'",
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

    def begin(self) -> None:
        """From now on events are of this scenario."""
        time.sleep(1.1)
        self._words["start"] = str(int(time.time()))

    def fill(self, line: str) -> str:
        for name, value in self._words.items():
            line = line.replace(f"{{{name}}}", value)
        return line

    def answer(self, line: str) -> Said:
        """Run one command line and make what it said comparable."""
        if line == WAIT:
            time.sleep(1.1)
            return Said(0, "", "")
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
    daemon: Daemon, reference: Daemon, archives: Path, busybox_layer: bytes, busybox_tar: bytes
) -> Iterator[list[Side]]:
    docker = reference.docker_argv()
    with ExitStack() as stack:
        made = []
        for each, program in ((reference, docker), (daemon, docker), (daemon, WHERRY)):
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


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_answers(sides: list[Side], scenario: str, busybox_tar: bytes) -> None:
    """Exit code, standard output and standard error of every command, from all three."""
    said: list[list[Said]] = []
    for side in sides:
        settle(side.daemon, busybox_tar)
        if WAIT in SCENARIOS[scenario]:
            side.begin()
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


@pytest.fixture
def registry(daemon: Daemon, busybox_tar: bytes) -> Iterator[Registry]:
    with Registry(daemon.box, kind="docker") as registry:
        yield registry
    settle(daemon, busybox_tar)


def wherry(daemon: Daemon, *words: str) -> str:
    """What a command that must succeed prints."""
    done = subprocess.run(
        [*WHERRY, *words], capture_output=True, text=True, timeout=60, env=daemon.docker_env(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.ours
def test_a_tree_shows_every_platform(daemon: Daemon, registry: Registry, busybox_layer: bytes) -> None:
    """Docker's own ``images --tree`` works with our daemon, and ours draws the same: what is here, what is not, who is
    used; an attestation is no platform."""
    elsewhere = registry.push_image("multi", "arm", [layer("arm", 9)], config={"architecture": "arm64"})
    here = registry.push_image("multi", "amd", [busybox_layer, layer("amd", 9)], config={"architecture": "amd64"})
    attested = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": here["digest"],
    }
    statement = registry.push_image("multi", "att", [layer("statement", 9)], config={"architecture": "unknown"})
    listed = [on_platform(elsewhere, "arm64", variant="v8"), on_platform(here, "amd64")]
    listed.append({**on_platform(statement, "unknown", "unknown"), "annotations": attested})
    index = registry.push_index("multi", "1", listed)
    name = f"{registry.host}/multi:1"
    daemon.docker("pull", "-q", "--platform", "linux/amd64", name)
    daemon.docker("create", "--name", "user", "--platform", "linux/amd64", name)
    shown = daemon.out("images", "--tree", name)
    rows = [line for line in shown.splitlines() if "linux/" in line]
    assert [row.split()[1:3] for row in rows] == [
        ["linux/arm64/v8", elsewhere["digest"][7:19]],
        ["linux/amd64", here["digest"][7:19]],
    ]
    assert [row.rstrip().endswith("U") for row in rows] == [False, True]
    assert wherry(daemon, "images", "--tree", name) == shown + "\n"
    (found,) = [one for one in daemon.api("GET", "/images/json?manifests=1").json() if name in one["RepoTags"]]
    assert found["Descriptor"]["digest"] == index["digest"]
    assert [one["Kind"] for one in found["Manifests"]] == ["image", "image", "attestation"]
    assert found["Manifests"][2]["AttestationData"] == {"For": here["digest"]}


@pytest.mark.ours
def test_inspect_of_a_platform(daemon: Daemon, registry: Registry) -> None:
    """The platform that is here is shown, another one is not found, by either program."""
    registry.push_image("one", "1", [layer("one", 9)], config={"architecture": "arm64", "variant": "v8"})
    name = f"{registry.host}/one:1"
    daemon.docker("pull", "-q", "--platform", "linux/arm64", name)
    words = ("image", "inspect", "--format", "{{.Architecture}}", "--platform")
    assert daemon.out(*words, "linux/arm64", name) == "arm64"
    assert wherry(daemon, *words, "linux/arm64", name) == "arm64\n"
    refused = daemon.docker(*words, "linux/s390x", name, check=False)
    assert refused.returncode == 1
    why = "was found but its platform (linux/arm64/v8) does not match the specified platform (linux/s390x)"
    assert why in refused.stderr
    gone = daemon.docker("rmi", "--platform", "linux/s390x", name, check=False)
    assert why in gone.stderr
    daemon.docker("rmi", "--platform", "linux/arm64", name)


@pytest.mark.ours
def test_a_manifest_list_by_both_programs(daemon: Daemon, registry: Registry) -> None:
    """``wherry manifest`` goes through our daemon, ``docker manifest`` by itself: the same list, byte for byte."""
    for architecture in ("amd64", "arm64"):
        config = {"architecture": architecture}
        registry.push_image(architecture, "1", [layer(architecture, 9)], docker=True, config=config)
    names = [f"{registry.host}/{each}:1" for each in ("amd64", "arm64")]

    def both(program: list[str], target: str) -> str:
        said = ""
        for words in (
            ["create", "--insecure", target, *names],
            ["annotate", target, names[1], "--variant", "v8"],
            ["push", "--insecure", "--purge", target],
        ):
            done = subprocess.run(
                daemon.box.argv(*program, "manifest", *words),
                capture_output=True,
                text=True,
                timeout=60,
                env=daemon.docker_env(),
                check=False,
            )
            assert done.returncode == 0, done.stderr
            said = done.stdout
        return said.splitlines()[-1]

    theirs = both(daemon.docker_argv(), f"{registry.host}/theirs:1")
    ours = both(WHERRY, f"{registry.host}/ours:1")
    assert ours == theirs
    assert daemon.out("pull", "-q", "--platform", "linux/arm64", f"{registry.host}/ours:1")
    assert daemon.out("image", "inspect", "--format", "{{.Architecture}}", f"{registry.host}/ours:1") == "arm64"
