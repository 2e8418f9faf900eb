"""As an ordinary user: ``spec --rootless`` and a container of it, below $XDG_RUNTIME_DIR."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from oci.yard import OURS, TIMEOUT, Yard

pytestmark = pytest.mark.root

_USER = 65534


def _as_user(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OURS, *words],
        cwd=folder,
        user=_USER,
        group=_USER,
        extra_groups=[],
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.fixture
def folder(yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the user's own, where he can reach it."""
    shutil.copytree(yard.rootfs, yard.path / "rootfs", symlinks=True)
    subprocess.run(["chown", "-R", f"{_USER}:{_USER}", yard.path], check=True)
    for parent in (yard.path, *yard.path.parents):
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    done = _as_user(yard.path, "spec", "--rootless")
    assert done.returncode == 0, done.stderr
    return yard.path


def _change(folder: Path, *args: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["process"].update(terminal=False, args=list(args))
    (folder / "config.json").write_text(json.dumps(config))


def test_a_container_of_an_ordinary_user(folder: Path):
    """He is root inside; the state is his own, sticky, and gone afterwards."""
    _change(folder, "id", "-u")
    done = _as_user(folder, "run", "box")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    root = folder / "wherry-oci"
    assert root.stat().st_uid == _USER
    assert root.stat().st_mode & 0o1777 == 0o1700
    assert list(root.iterdir()) == []


def test_without_a_user_namespace(folder: Path):
    _change(folder, "true")
    config = json.loads((folder / "config.json").read_text())
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "user"]
    (folder / "config.json").write_text(json.dumps(config))
    done = _as_user(folder, "run", "box")
    assert done.returncode == 1
    assert "rootless container requires user namespaces" in done.stderr


def test_limits_without_a_group_are_an_error(folder: Path):
    """What cannot be had is said."""
    _change(folder, "true")
    config = json.loads((folder / "config.json").read_text())
    config["linux"]["resources"] = {"pids": {"limit": 10}}
    (folder / "config.json").write_text(json.dumps(config))
    done = _as_user(folder, "run", "box")
    assert done.returncode == 1
    assert "cannot set pids limit: container could not join or create cgroup" in done.stderr
