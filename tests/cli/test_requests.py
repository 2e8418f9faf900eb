"""``wherry create`` sends the request that docker sends for the same command line, and refuses what docker refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from cli.recorder import Recorder
from cli.requests_table import CREATES, REFUSED

DOCKER = shutil.which("docker")
pytestmark = pytest.mark.skipif(not DOCKER, reason="NO docker CLI: cannot compare what it sends")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    recorder = Recorder(tmp_path_factory.mktemp("recorder") / "s")
    yield recorder
    recorder.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    place = tmp_path_factory.mktemp("files")
    (place / "env").write_text("# comment\nB=2\n  C=3 \nHOME\nNOT_SET_ANYWHERE\n\n")
    (place / "badenv").write_text("A B=1\n")
    (place / "labels").write_text("x=1\ny\n")
    (place / "seccomp.json").write_text('{\n  "defaultAction": "SCMP_ACT_ALLOW",\n  "x": [ 1, "a b" ]\n}\n')
    return place


def run(program, line, recorder, files, env=()):
    command = f"{program} create {line.replace('{dir}', str(files))}"
    variables = {"PATH": os.environ["PATH"], "HOME": str(files), "DOCKER_HOST": recorder.host, **dict(env)}
    (files / "cid").unlink(missing_ok=True)
    recorder.requests.clear()
    return subprocess.run(
        command, shell=True, capture_output=True, text=True, env=variables, cwd=files, timeout=30, check=False
    )


def wherry():
    return f"{sys.executable} -m wherry.cli"


def settled(request):
    """Go draws maps in any order: lists that come from them are compared sorted."""
    query, body = request
    body["Env"] = sorted(body["Env"] or [])
    body["HostConfig"]["Binds"] = sorted(body["HostConfig"]["Binds"] or [])
    return query, body


@pytest.mark.parametrize("line", CREATES)
def test_sends_what_docker_sends(line, recorder, files):
    theirs = run(DOCKER, line, recorder, files)
    expected = settled(recorder.created()) if theirs.returncode == 0 else None
    ours = run(wherry(), line, recorder, files)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout), ours.stderr
    if expected is not None:
        assert settled(recorder.created()) == expected


@pytest.mark.parametrize("line", REFUSED)
def test_refuses_in_dockers_words(line, recorder, files):
    theirs = run(DOCKER, line, recorder, files)
    ours = run(wherry(), line, recorder, files)
    assert theirs.returncode != 0
    assert ours.returncode == theirs.returncode
    assert ours.stderr == theirs.stderr.replace("docker", "wherry").replace("Docker daemon", "wherry daemon")


def test_an_older_api_gets_what_it_knows(tmp_path, files):
    """Below 1.44 a MAC address goes into the container's own settings, and kernel memory exists below 1.42."""
    recorder = Recorder(tmp_path / "s", api="1.41")
    try:
        line = "--kernel-memory 64m -m 1g --mount type=bind,src=/a,dst=/b busybox"
        run(DOCKER, line, recorder, files)
        expected = settled(recorder.created())
        run(wherry(), line, recorder, files)
        assert settled(recorder.created()) == expected
        for program in (DOCKER, wherry()):
            refused = run(program, "--health-start-interval 1s busybox", recorder, files)
            assert refused.returncode == 1
            assert '"--health-start-interval" requires API version 1.44' in refused.stderr
    finally:
        recorder.close()


def test_proxies_of_the_configuration_become_variables(recorder, files, tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"proxies": {"default": {"httpProxy": "http://p", "noProxy": "x"}}})
    )
    env = {"DOCKER_CONFIG": str(tmp_path)}
    run(DOCKER, "-e no_proxy=mine busybox", recorder, files, env)
    expected = settled(recorder.created())
    run(wherry(), "-e no_proxy=mine busybox", recorder, files, env)
    assert settled(recorder.created()) == expected
