"""Devices by name: ``--device vendor.com/class=name`` and ``--gpus``, out of CDI specifications."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.daemons import Daemon

pytestmark = pytest.mark.ours  # the reference is older than CDI
NONE = ("--network", "none")


def document(kind: str, common: dict[str, Any], **devices: Any) -> str:
    listed = [{"name": name, "containerEdits": edits} for name, edits in devices.items()]
    return json.dumps({"cdiVersion": "0.7.0", "kind": kind, "containerEdits": common, "devices": listed})


@pytest.fixture
def described(make_daemon: Callable[..., Daemon], tmp_path: Path) -> Daemon:
    """A daemon that knows two things and two GPUs."""
    (tmp_path / "shared").write_text("from the host\n")
    mount = {"hostPath": f"{tmp_path}/shared", "containerPath": "/opt/vendor/file", "options": ["ro", "rbind"]}
    runtime = f"cat > {tmp_path}/state; readlink /proc/self/ns/pid > {tmp_path}/pid"
    hook = {"hookName": "createRuntime", "path": "/bin/sh", "args": ["sh", "-c", runtime]}
    inside = {"hookName": "createContainer", "path": "/bin/sh", "args": ["sh", "-c", f"cat > {tmp_path}/inside"]}
    (tmp_path / "thing.json").write_text(
        document(
            "vendor.example/thing",
            {"env": ["COMMON=yes"], "mounts": [mount]},
            one={"deviceNodes": [{"path": "/dev/thing", "hostPath": "/dev/fuse"}], "additionalGids": [4242]},
            two={"env": ["TWO=yes"], "hooks": [hook, inside]},
        )
    )
    gpus = {name: {"env": [f"GPU_{name}=yes"]} for name in ("0", "1", "all")}
    (tmp_path / "gpu.json").write_text(document("nvidia.com/gpu", {}, **gpus))
    (tmp_path / "broken.json").write_text("{}")
    return make_daemon("--cdi-spec-dir", str(tmp_path))


def quick(daemon: Daemon, *args: str) -> str:
    return daemon.docker("run", "--rm", *NONE, *args).stdout


def refused(daemon: Daemon, *args: str) -> str:
    done = daemon.docker("run", "--rm", *NONE, *args, "busybox", "true", check=False)
    assert done.returncode == 125, done.stdout
    return done.stderr


def test_a_device_brings_what_it_needs(described: Daemon) -> None:
    """Node, permission to open it, environment, mount and group."""
    script = "ls -l /dev/thing | cut -c1; exec 3<>/dev/thing && echo opened; echo $COMMON; cat /opt/vendor/file; id -G"
    found = quick(described, "--device", "vendor.example/thing=one", "busybox", "sh", "-c", script)
    *lines, groups = found.splitlines()
    assert lines == ["c", "opened", "yes", "from the host"]
    assert "4242" in groups.split()
    assert "COMMON" not in quick(described, "busybox", "env")


def test_hooks_run(described: Daemon, tmp_path: Path) -> None:
    name = described.out("run", "-d", *NONE, "--device", "vendor.example/thing=two", "busybox", "sleep", "60")
    state = json.loads((tmp_path / "state").read_text())
    assert (state["id"], state["pid"]) == (name, described.inspect(name)["State"]["Pid"])
    assert (tmp_path / "pid").read_text().strip() == os.readlink("/proc/self/ns/pid")  # the runtime's namespaces
    told = json.loads((tmp_path / "inside").read_text())
    assert {key: told[key] for key in ("id", "bundle", "status")} == {
        "id": name,
        "bundle": state["bundle"],
        "status": "creating",
    }
    assert described.out("exec", name, "sh", "-c", "echo $TWO$COMMON") == ""  # environment of the program alone


@pytest.mark.parametrize(
    ("asked", "expected"), [("all", ["GPU_all"]), ("2", ["GPU_0", "GPU_1"]), ("device=1", ["GPU_1"])]
)
def test_gpus(described: Daemon, asked: str, expected: list[str]) -> None:
    environment = quick(described, "--gpus", asked, "busybox", "env")
    assert [line.partition("=")[0] for line in sorted(environment.splitlines()) if "GPU_" in line] == expected


def test_what_nobody_describes(described: Daemon, daemon: Daemon) -> None:
    assert "CDI device injection failed: unresolvable CDI devices vendor.example/thing=three" in refused(
        described, "--device", "vendor.example/thing=three"
    )
    assert "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=7" in refused(
        described, "--gpus", "device=7"
    )
    assert 'could not select device driver "" with capabilities: [[gpu]]' in refused(daemon, "--gpus", "all")


def test_what_info_shows(described: Daemon, tmp_path: Path) -> None:
    """The directories, the devices, and which file is broken."""
    info = described.api("GET", "/v1.50/info").json()
    assert info["CDISpecDirs"] == [str(tmp_path)]
    assert {"Source": "cdi", "ID": "vendor.example/thing=two"} in info["DiscoveredDevices"]
    assert any(f"spec file {tmp_path}/broken.json" in line for line in info["Warnings"])
    assert "DiscoveredDevices" not in described.api("GET", "/v1.49/info").json()
