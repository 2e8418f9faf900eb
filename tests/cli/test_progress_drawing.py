"""The progress of a pull is drawn as docker draws it, move for move, on wide and narrow terminals and in a pipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.answering import Answering
from support.terminal import Terminal

DOCKER = shutil.which("docker") or ""
WHERRY = f"{sys.executable} -m wherry.cli"
pytestmark = pytest.mark.skipif(not DOCKER, reason="NO docker CLI to compare with")


def step(status: str, layer: str = "", **detail: object) -> dict[str, object]:
    return {"status": status, "id": layer, "progressDetail": detail} if layer else {"status": status}


PULL = [
    {"status": "Pulling from library/x", "id": "latest"},
    step("Pulling fs layer", "aaa"),
    step("Pulling fs layer", "bbb"),
    step("Pulling fs layer", "ccc"),
    step("Waiting", "ccc"),
    step("Downloading", "bbb", current=32768, total=2_812_000),
    step("Downloading", "aaa", current=1, total=3),
    step("Retrying in 5 seconds", "aaa"),
    step("Downloading", "aaa", current=999, total=1000),
    step("Downloading", "bbb", current=2_812_000, total=2_812_000),
    step("Downloading", "ccc", current=77_000_000),
    step("Downloading", "ccc", current=9, total=5),
    step("Verifying Checksum", "aaa"),
    step("Download complete", "aaa"),
    step("Extracting", "aaa", current=5, units="s"),
    step("Extracting", "aaa", current=5, total=7, units="layers"),
    step("Extracting", "aaa", current=9, total=7, units="layers"),
    step("Extracting", "bbb", current=50, total=100, hidecounts=True),
    step("Pull complete", "aaa"),
    step("Already exists", "ddd"),
    step("Pull complete", "bbb"),
    step("Digest: sha256:0123"),
    step("Downloading", "eee", current=0, total=0),
    step("Status: Downloaded newer image for x:latest"),
]
BROKEN = [*PULL[:8], {"errorDetail": {"message": "unexpected EOF"}, "error": "unexpected EOF"}]
SPOKEN = [
    {"stream": "one\n"},
    {"stream": "two"},
    {"status": "from", "from": "somewhere", "id": "x"},
    {"status": "old", "id": "y", "progress": "[==>  ] 1B/2B", "progressDetail": {"current": 1, "total": 2}},
    {"status": "old", "id": "y", "progress": "[==>  ] 1B/2B"},
    {"aux": {"ID": "sha256:1"}},
    {"status": "Ünïcødé ⚓", "id": "z", "progressDetail": {}},
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    daemon = Answering(tmp_path_factory.mktemp("answering") / "s")
    yield daemon
    daemon.close()


def env(daemon: Answering, place: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(place), "DOCKER_HOST": daemon.host, "TERM": "xterm"}


@pytest.mark.parametrize("messages", [PULL, BROKEN, SPOKEN], ids=["pull", "broken", "spoken"])
@pytest.mark.parametrize("columns", [80, 111, 160])
def test_at_a_terminal(messages: list[dict[str, object]], columns: int, daemon: Answering, tmp_path: Path) -> None:
    daemon.answers = {"/images/create": (200, b"".join(json.dumps(one).encode() + b"\r\n" for one in messages))}
    screens = []
    for program in (DOCKER, WHERRY):
        command = [*program.split(), "pull", "x:latest"]
        with Terminal(command, env(daemon, tmp_path), columns=columns) as terminal:
            screens.append((terminal.rest(), terminal.wait()))
    assert screens[1] == screens[0]


@pytest.mark.parametrize("messages", [PULL, BROKEN, SPOKEN], ids=["pull", "broken", "spoken"])
def test_in_a_pipe(messages: list[dict[str, object]], daemon: Answering, tmp_path: Path) -> None:
    daemon.answers = {"/images/create": (200, b"".join(json.dumps(one).encode() + b"\r\n" for one in messages))}
    said = []
    for program in (DOCKER, WHERRY):
        done = subprocess.run(
            f"{program} pull x:latest", shell=True, capture_output=True, env=env(daemon, tmp_path), check=False
        )
        said.append((done.returncode, done.stdout, done.stderr))
    assert said[1] == said[0]
