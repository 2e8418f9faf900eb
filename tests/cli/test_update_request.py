"""``wherry update`` sends the request that docker sends for the same command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from cli.recorder import Recorder

DOCKER = shutil.which("docker")
pytestmark = pytest.mark.skipif(not DOCKER, reason="NO docker CLI: cannot compare what it sends")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    recorder = Recorder(tmp_path_factory.mktemp("recorder") / "s")
    yield recorder
    recorder.close()


def sent(recorder, *command):
    """How the command ended, and between that what it has sent."""
    recorder.requests.clear()
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DOCKER_HOST": recorder.host}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=30, check=False)
    updates = [(target, json.loads(body)) for _, target, body in recorder.requests if target.endswith("/update")]
    return done.returncode, updates, done.stdout, done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "-m 64m a",
        "--memory-swap -1 --memory-reservation 10m a b",
        "--cpus 1.5 -c 100 --cpuset-cpus 0,1 --cpuset-mems 0 a",
        "--cpu-period 1000 --cpu-quota 2000 --cpu-rt-period 5 --cpu-rt-runtime 4 a",
        "--pids-limit 0 a",
        "--pids-limit -1 --blkio-weight 300 a",
        "--restart on-failure:3 a",
        "--restart no a",
    ],
)
def test_sends_what_docker_sends(line, recorder):
    theirs = sent(recorder, DOCKER, "update", *line.split())
    ours = sent(recorder, sys.executable, "-m", "wherry.cli", "update", *line.split())
    assert ours == theirs
    assert theirs[1]
