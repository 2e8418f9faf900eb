"""The command as an ordinary user: what runc can do without root, this can."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commands import eventually
from support.rootless import UID, User, rootless_missing

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(rootless_missing() is not None, reason=str(rootless_missing())),
]
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    """Runs the command as the user, in the bundle ``home/bundle``."""
    # Not below pytest's own directory, which only root may enter.
    root = Path("/run", f"wherry-oci-user-{os.getpid()}")
    root.mkdir()
    user = User("wherryuser", root)
    bundle = root / "home/bundle"
    (bundle / "rootfs/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", bundle / "rootfs/bin/busybox")
    (bundle / "rootfs/bin/sh").symlink_to("busybox")
    subprocess.run(["chown", "-R", f"{UID}:{UID}", str(root / "home")], check=True)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            user.python("-m", "wherry.runtime.oci.main", *words, f"--bundle={bundle}")
            if words[0] in ("run", "create", "spec")
            else user.python("-m", "wherry.runtime.oci.main", *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    try:
        yield run
    finally:
        shutil.rmtree(root)


def edit(change: Callable[[dict[str, object]], None]) -> None:
    path = Path("/run", f"wherry-oci-user-{os.getpid()}", "home/bundle/config.json")
    spec = json.loads(path.read_text())
    spec["process"]["terminal"] = False
    change(spec)
    path.write_text(json.dumps(spec))


def test_run_as_root_of_a_namespace(call: Call) -> None:
    assert call("spec", "--rootless").returncode == 0
    edit(
        lambda spec: spec["process"].update(args=["sh", "-c", "busybox id -u; busybox cat /proc/self/uid_map; exit 7"])
    )
    ran = call("run", "one")
    assert ran.stderr == ""
    assert ran.stdout.split() == ["0", "0", str(UID), "1"]
    assert ran.returncode == 7


def test_many_ids_by_newuidmap(call: Call) -> None:
    call("spec", "--rootless")

    def many(spec):
        spec["process"]["args"] = ["sh", "-c", "busybox cat /proc/self/uid_map; busybox id -G"]
        spec["process"]["user"] = {"uid": 5, "gid": 6, "additionalGids": [7]}
        for name in ("uidMappings", "gidMappings"):
            spec["linux"][name].append({"containerID": 1, "hostID": 300000, "size": 65536})

    edit(many)
    ran = call("run", "one")
    assert ran.stdout.split() == ["0", str(UID), "1", "1", "300000", "65536", "6", "7"], ran.stderr


def test_exec_state_kill_delete(call: Call) -> None:
    call("spec", "--rootless")
    edit(lambda spec: spec["process"].update(args=["sh", "-c", "exec > /dev/null 2>&1; busybox sleep 60 & wait"]))
    started = call("run", "--detach", "two")
    assert started.returncode == 0, started.stderr
    try:
        assert json.loads(call("state", "two").stdout)["status"] == "running"
        ran = call("exec", "two", "sh", "-c", "busybox id -u; exit 3")
        assert (ran.stdout, ran.returncode) == ("0\n", 3), ran.stderr
        assert call("kill", "two", "KILL").returncode == 0
        eventually("it ends", lambda: json.loads(call("state", "two").stdout)["status"] == "stopped")
    finally:
        call("delete", "--force", "two")
    assert call("list", "-q").stdout == ""


def test_ids_that_are_not_his(call: Call) -> None:
    call("spec", "--rootless")
    edit(lambda spec: spec["linux"]["uidMappings"].append({"containerID": 1, "hostID": 900000, "size": 10}))
    refused = call("run", "one")
    assert refused.returncode == 1
    assert "newuidmap failed" in refused.stderr
    assert call("list", "-q").stdout == ""
