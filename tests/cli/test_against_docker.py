"""The same command line through ``docker`` and ``wherry``, on one daemon: same output, same errors, same exit code.

The daemon is $WHERRY_TEST_HOST or $DOCKER_HOST, real dockerd or wherryd; it must have busybox:latest.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid

import pytest

from cli.commands_table import SAME

DOCKER = shutil.which("docker")
HOST = os.environ.get("WHERRY_TEST_HOST") or os.environ.get("DOCKER_HOST") or ""
WHERRY = f"{sys.executable} -m wherry.cli"
LABEL = f"wherry.test={uuid.uuid4().hex[:12]}"
NAMES = {name: f"wt-{name}-{LABEL[-6:]}" for name in "cxnv"}


def call(program: str, line: str, **more) -> subprocess.CompletedProcess:
    env = {**os.environ, "DOCKER_HOST": HOST, "COLUMNS": "80"}
    more = {"stdin": subprocess.DEVNULL, **more}
    return subprocess.run(
        f"{program} {line}", shell=True, capture_output=True, env=env, timeout=60, check=False, **more
    )


def reachable() -> str:
    if not DOCKER:
        return "NO docker CLI to compare with"
    if not HOST:
        return "NO daemon: set WHERRY_TEST_HOST (or DOCKER_HOST) to compare with docker"
    if call(DOCKER, "image inspect busybox").returncode:
        return f"NO daemon with busybox at {HOST}"
    return ""


WHY_NOT = reachable()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@pytest.fixture(scope="module", autouse=True)
def things():
    """A running container, an exited one, a network and a volume."""
    published = f"--label {LABEL} --label a.b-c=d -p 127.0.0.1::80 -p 127.0.0.1::53/udp --expose 7"
    made = [
        f"volume create --label {LABEL} {NAMES['v']}",
        f"network create --label {LABEL} {NAMES['n']}",
        f"run -d --name {NAMES['c']} {published} -v {NAMES['v']}:/data busybox sleep 3600",
        f"run -d --name {NAMES['x']} --label {LABEL} busybox sh -c 'echo one; echo two >&2; echo three; exit 7'",
        f"wait {NAMES['x']}",
    ]
    try:
        for line in made:
            done = call(DOCKER, line)
            assert done.returncode == 0, (line, done.stderr)
        yield
    finally:
        call(DOCKER, f"rm -fv {NAMES['c']} {NAMES['x']} {NAMES['x']}2")
        call(DOCKER, f"network rm {NAMES['n']}")
        call(DOCKER, f"volume rm {NAMES['v']}")


AGES = re.compile(rb"(Less than a second|About an? \w+|\d+ \w+) ago|Up (Less than a second|About an? \w+|\d+ \w+)")


def settled(done: subprocess.CompletedProcess) -> tuple[int, bytes, bytes]:
    """The result without the program's name and without how long ago things were."""

    def clean(text: bytes) -> bytes:
        text = text.replace(b"docker.io", b"IO").replace(b"docker.com", b"COM").replace(b"docker.sock", b"SOCK")
        text = text.replace(b"docker", b"wherry").replace(b"Docker", b"wherry").replace(b"SRun 'wherry", b"Run 'wherry")
        return AGES.sub(b"AGE", text)

    return done.returncode, clean(done.stdout), clean(done.stderr)


def filled(line: str) -> str:
    for name, value in {**NAMES, "label": LABEL}.items():
        line = line.replace(f"{{{name}}}", value)
    return line


UNBUILT = re.compile(rb"^  (build|cp) .*\n", re.MULTILINE)


@pytest.mark.parametrize("line", SAME)
def test_says_what_docker_says(line):
    line = filled(line)
    for _ in range(3):  # others use the daemon too: a list may change between the two calls
        theirs, ours = settled(call(DOCKER, line)), settled(call(WHERRY, line))
        theirs = (theirs[0], UNBUILT.sub(b"", theirs[1]), UNBUILT.sub(b"", theirs[2]))
        if ours == theirs:
            break
    assert ours == theirs


@pytest.mark.parametrize("size", [0, 1, 5, 300_000])
def test_stdin_goes_in_and_comes_back(size):
    """A pipe into ``run -i`` and ``exec -i`` is half-closed at its end, and nothing is lost on the way back."""
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    for line in ("run --rm -i busybox cat", f"exec -i {NAMES['c']} cat"):
        done = call(WHERRY, line, stdin=None, input=data)
        assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")


def test_both_directions_flow_at_once():
    """Neither side waits for the other: a megabyte goes in while three come out."""
    script = "(cat; cat /dev/zero | head -c 2000000) | cat"
    done = call(WHERRY, f"run --rm -i busybox sh -c '{script}'", stdin=None, input=b"x" * 1_000_000)
    assert (done.returncode, len(done.stdout)) == (0, 3_000_000)


def test_signals_reach_the_container():
    """SIGTERM to the client is SIGTERM to the container, whose exit code comes back."""
    script = 'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.1; done'
    env = {**os.environ, "DOCKER_HOST": HOST}
    child = subprocess.Popen(
        [*WHERRY.split(), "run", "--rm", "busybox", "sh", "-c", script], stdout=subprocess.PIPE, env=env
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.terminate()
    assert child.stdout.read() == b"got\n"
    assert child.wait(timeout=20) == 9
    child.stdout.close()


def test_attach_ends_with_the_containers_exit_code():
    name = f"{NAMES['x']}-attach"
    try:
        assert call(DOCKER, f"run -d --name {name} busybox sh -c 'sleep 1; echo bye; exit 5'").returncode == 0
        done = call(WHERRY, f"attach {name}")
        assert (done.returncode, done.stdout) == (5, b"bye\n")
    finally:
        call(DOCKER, f"rm -f {name}")


def test_start_attached_gives_input_and_exit_code():
    name = f"{NAMES['x']}-start"
    try:
        assert call(WHERRY, f"create -i --name {name} busybox sh -c 'read a; echo got $a; exit 6'").returncode == 0
        done = call(WHERRY, f"start -ai {name}", stdin=None, input=b"word\n")
        assert (done.returncode, done.stdout) == (6, b"got word\n")
    finally:
        call(DOCKER, f"rm -f {name}")


def test_archives_travel():
    """save | load, and import from a pipe."""
    saved = call(WHERRY, "save busybox")
    assert saved.returncode == 0
    loaded = call(WHERRY, "load", stdin=None, input=saved.stdout)
    assert (loaded.returncode, loaded.stdout) == (0, b"Loaded image: busybox:latest\n")
    try:
        imported = call(
            WHERRY, "import -c 'CMD [\"x\"]' -m note - wherry-test/imported:1", stdin=None, input=b"\0" * 10240
        )
        assert imported.returncode == 0
        assert imported.stdout.startswith(b"sha256:")
        seen = call(WHERRY, "inspect -f '{{.Comment}} {{.Config.Cmd}}' wherry-test/imported:1")
        assert seen.stdout == b"note [x]\n"
    finally:
        call(DOCKER, "rmi wherry-test/imported:1")


def test_cidfile_and_detached_run(tmp_path):
    done = call(WHERRY, f"run -d --rm --cidfile {tmp_path}/cid busybox sleep 60")
    identity = done.stdout.decode().strip()
    try:
        assert done.returncode == 0
        assert (tmp_path / "cid").read_text() == identity
        again = call(WHERRY, f"run -d --rm --cidfile {tmp_path}/cid busybox sleep 60")
        assert again.returncode == 125
        assert b"container ID file found" in again.stderr
    finally:
        call(DOCKER, f"rm -f {identity}")


def test_stats_has_dockers_columns():
    theirs, ours = (call(one, f"stats --no-stream {NAMES['c']}") for one in (DOCKER, WHERRY))
    assert (ours.returncode, ours.stderr) == (0, b"")
    head, row = ours.stdout.decode().splitlines()
    assert head.split() == theirs.stdout.decode().splitlines()[0].split()
    assert row.split()[1] == NAMES["c"]
