"""``wherry-oci`` on a stock kernel: what a container is told about its limits is what the kernel holds it to."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.commands import eventually, run
from vm.conftest import TREE, Bundle, Oci

MIB = 1 << 20
RESOURCES = {
    "memory": {"limit": 64 * MIB, "swap": 64 * MIB},
    "cpu": {"shares": 2048, "quota": 50_000, "period": 100_000, "cpus": "0"},
    "pids": {"limit": 20},
    "devices": [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    ],
}


def limited(spec: dict[str, Any]) -> None:
    spec["linux"]["resources"] = RESOURCES


def test_a_container_sees_the_limits_it_was_given(oci: Oci, bundle: Bundle) -> None:
    """In a cgroup namespace of its own: its group is the root it sees."""
    names = "memory.max memory.swap.max cpu.max pids.max cpuset.cpus.effective"
    folder = bundle("sh", "-c", f"cd /sys/fs/cgroup && cat {names}; cat /proc/self/cgroup", edit=limited)
    done = oci("run", "--bundle", str(folder), "one")
    assert done.stdout.splitlines() == [str(64 * MIB), "0", "50000 100000", "20", "0", "0::/"]


def test_a_hard_limit_may_be_raised(oci: Oci, bundle: Bundle) -> None:
    """With CAP_SYS_RESOURCE, which this runtime has here and its container has not."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def edit(spec: dict[str, Any]) -> None:
        spec["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": hard + 500, "hard": hard + 1000}]

    folder = bundle("sh", "-c", f"ulimit -Sn; ulimit -Hn; ulimit -Hn {hard + 2000} 2>/dev/null || echo no", edit=edit)
    done = oci("run", "--bundle", str(folder), "one")
    assert done.stdout.split() == [str(hard + 500), str(hard + 1000), "no"]


def test_pause_resume_update_and_kill(oci: Oci, bundle: Bundle) -> None:
    group = "/wherry-vm/pause"
    folder = bundle("sh", "-c", "while :; do :; done", cgroup=group, edit=limited)
    oci.detached("run", "--detach", "--bundle", str(folder), "one")
    files = TREE / group[1:]
    oci("pause", "one")
    assert json.loads(oci("state", "one").stdout)["status"] == "paused"
    assert "frozen 1" in (files / "cgroup.events").read_text()
    oci("resume", "one")
    assert json.loads(oci("state", "one").stdout)["status"] == "running"
    oci("update", "--memory", str(96 * MIB), "--memory-swap", str(96 * MIB), "--pids-limit", "30", "one")
    assert [(files / name).read_text().strip() for name in ("memory.max", "pids.max")] == [str(96 * MIB), "30"]
    assert (files / "cpu.max").read_text().strip() == "50000 100000"
    oci("kill", "one", "KILL")
    eventually("it has stopped", lambda: json.loads(oci("state", "one").stdout)["status"] == "stopped", every=0.5)
    oci("delete", "one")
    assert not files.exists()
    (TREE / "wherry-vm").rmdir()


def test_out_of_memory_is_an_event(oci: Oci, bundle: Bundle, busybox_root: Path) -> None:
    """The program waits until somebody listens."""
    go = busybox_root / "tmp/go"
    script = "until [ -e /tmp/go ]; do sleep 0.2; done; dd if=/dev/zero of=/dev/null bs=256M count=1; sleep 2"
    folder = bundle("sh", "-c", script, edit=limited)
    oci.detached("run", "--detach", "--bundle", str(folder), "one")
    argv = (oci.program, "--root", str(oci.root), "events", "--interval", "500ms", "one")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None
        first = json.loads(events.stdout.readline())
        go.touch()
        said = [json.loads(line) for line in events.stdout]
    go.unlink()
    assert first["type"] == "stats"
    assert first["data"]["memory"]["usage"]["limit"] == 64 * MIB
    assert [one["type"] for one in said].count("oom") == 1


def test_its_own_group_can_be_the_containers(oci: Oci, bundle: Bundle, tmp_path: Path) -> None:
    """A read-write cgroup mount in a cgroup namespace: the container makes groups in its own, and they go with it."""

    def edit(spec: dict[str, Any]) -> None:
        limited(spec)
        for mount in spec["mounts"]:
            if mount["type"] == "cgroup":
                mount["options"].remove("ro")

    script = "mkdir /sys/fs/cgroup/mine && ls -d /sys/fs/cgroup/mine"
    folder = bundle("sh", "-c", script, cgroup="/wherry-vm-own", edit=edit)
    assert oci("run", "--bundle", str(folder), "one").stdout.strip() == "/sys/fs/cgroup/mine"
    assert not (TREE / "wherry-vm-own").exists()


@pytest.mark.systemd
def test_the_systemd_driver_from_run_to_delete(oci: Oci, bundle: Bundle) -> None:
    """A scope in a slice of its own, its limits systemd's and the kernel's, nothing left of it afterwards."""
    folder = bundle("sleep", "600", cgroup="wherryvm.slice:test:one", edit=limited)
    oci.detached("--systemd-cgroup", "run", "--detach", "--bundle", str(folder), "one")
    group = TREE / "wherryvm.slice/test-one.scope"
    pid = json.loads(oci("state", "one").stdout)["pid"]
    assert (group / "cgroup.procs").read_text().split() == [str(pid)]
    assert (group / "memory.max").read_text().strip() == str(64 * MIB)
    shown = run("systemctl", "show", "-p", "MemoryMax,TasksMax,CPUQuotaPerSecUSec,Slice", "test-one.scope").stdout
    assert set(shown.split()) == {
        f"MemoryMax={64 * MIB}",
        "TasksMax=20",
        "CPUQuotaPerSecUSec=500ms",
        "Slice=wherryvm.slice",
    }
    oci("update", "--pids-limit", "30", "one")
    assert run("systemctl", "show", "-p", "TasksMax", "test-one.scope").stdout.strip() == "TasksMax=30"
    oci("pause", "one")
    assert "frozen 1" in (group / "cgroup.events").read_text()
    oci("delete", "--force", "one")
    assert not group.exists()
    assert "test-one.scope" not in run("systemctl", "list-units", "--all", "--plain", "--no-legend").stdout
    run("systemctl", "stop", "wherryvm.slice")
