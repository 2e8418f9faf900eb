"""``save -o`` writes a file and nothing else: what stands at the path and is none stays what it is."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.answering import Answering

DOCKER = shutil.which("docker") or ""
WHERRY = f"{sys.executable} -m wherry.cli"
ARCHIVE = b"an archive"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    daemon = Answering(tmp_path_factory.mktemp("answering") / "s")
    daemon.answers = {"/images/get": (200, ARCHIVE)}
    yield daemon
    daemon.close()


def save(program: str, target: str, daemon: Answering, place: Path) -> tuple[int, str, str]:
    env = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(place), "DOCKER_HOST": daemon.host}
    done = subprocess.run(
        [*program.split(), "save", "-o", target, "x"],
        cwd=place,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Every kind of file; the device is a null device of the test's own."""
    os.mknod(tmp_path / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("before")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "to-device").symlink_to("device")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    return tmp_path


def kinds(place: Path) -> dict[str, int]:
    return {path.name: stat.S_IFMT(path.lstat().st_mode) for path in place.iterdir()}


@pytest.mark.root
@pytest.mark.parametrize(
    "target",
    ["device", "fifo", "socket", "directory", "link", "dangling", "to-device", "nowhere/x", "file/x", "new/"],
)
def test_what_is_no_file_is_refused_and_stays(target: str, daemon: Answering, place: Path) -> None:
    before = kinds(place)
    ours = save(WHERRY, target, daemon, place)
    assert kinds(place) == before
    assert (place / "file").read_text() == "before"
    assert ours[0] == 1
    if DOCKER:
        assert ours == save(DOCKER, target, daemon, place)


@pytest.mark.root
@pytest.mark.parametrize("target", ["file", "new", "./new", "directory/new"])
def test_a_file_is_written_whole(target: str, daemon: Answering, place: Path) -> None:
    assert save(WHERRY, target, daemon, place) == (0, "", "")
    assert (place / target).read_bytes() == ARCHIVE
    assert not list(place.rglob("*.tmp-*"))


@pytest.mark.root
def test_config_json_on_a_device_is_left_alone(daemon: Answering, place: Path) -> None:
    """Who wants no credentials kept may link config.json to a null device: it must not become a file."""
    home = place / "directory"
    (home / "config.json").symlink_to(place / "device")
    daemon.answers["/auth"] = (200, {"Status": "Login Succeeded"})
    env = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(home), "DOCKER_HOST": daemon.host}
    command = f"{WHERRY} login -u a -p b one.io"
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert stat.S_ISCHR((place / "device").lstat().st_mode)


@pytest.mark.root
@pytest.mark.parametrize("target", ["device", "link"])
def test_an_export_is_no_different(target: str, daemon: Answering, place: Path) -> None:
    daemon.answers["/containers/x/export"] = (200, ARCHIVE)
    before = kinds(place)
    env = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(place), "DOCKER_HOST": daemon.host}
    command = f"{WHERRY} export -o {place}/{target} x"
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, kinds(place)) == (1, before)
    assert done.stderr.startswith("failed to export container: cannot write to ")
