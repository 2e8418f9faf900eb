"""The whole engine once, driven by the docker CLI: on cgroup v2, with AppArmor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import images
from support.commands import eventually, find
from support.daemons import Wherryd
from vm.conftest import TREE

MIB = 1 << 20


class Patient(Wherryd):
    """Its start, which imports a thousand modules, may take minutes where a busy machine emulates this one."""

    def start(self) -> None:
        try:
            super().start()
        except AssertionError:
            if not self.running:
                raise
            eventually("the daemon answers a ping", self._answers, within=180, every=1)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Wherryd]:
    if find("docker") is None:
        pytest.skip("no docker CLI here: run tools/reference")
    one = Patient()
    try:
        one.start()
        one.docker("load", input=images.docker_archive(["busybox:latest"], [images.busybox_layer()]), timeout=120)
        yield one
        one.stop()
        assert one.settled(one.leftovers, within=20) == []
    finally:
        one.discard()


def test_run_exec_update_and_rm(daemon: Wherryd) -> None:
    """The containers' limits and profile, as the kernel shows them inside and outside."""
    options = ("--memory=64m", "--memory-swap=64m", "--cpus=.5", "--pids-limit=50", "--ulimit=nofile=5000:6000")
    daemon.docker("run", "-d", "--name", "one", *options, "busybox", "sleep", "600", timeout=120)
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; ulimit -Hn; cat /proc/self/attr/current"
    said = daemon.out("exec", "one", "sh", "-c", script, timeout=60).split("\n")
    assert said == [str(64 * MIB), "50000 100000", "6000", "docker-default (enforce)"]
    assert daemon.inspect("one")["AppArmorProfile"] == "docker-default"
    group = TREE / daemon.name / daemon.inspect("one")["Id"]
    assert (group / "pids.max").read_text().strip() == "50"
    daemon.docker("update", "--memory=80m", "--memory-swap=96m", "--cpus=.25", "--pids-limit=60", "one", timeout=60)
    names = ("memory.max", "memory.swap.max", "cpu.max", "pids.max")
    now = [(group / name).read_text().strip() for name in names]
    assert now == [str(80 * MIB), str(16 * MIB), "25000 100000", "60"]
    daemon.docker("pause", "one", timeout=60)
    assert daemon.state("one") == "paused"
    daemon.docker("unpause", "one", timeout=60)
    daemon.docker("rm", "-f", "one", timeout=60)
    assert not group.exists()


def test_a_container_can_go_without_apparmor(daemon: Wherryd) -> None:
    options = ("--rm", "--security-opt", "apparmor=unconfined")
    said = daemon.out("run", *options, "busybox", "cat", "/proc/self/attr/current", timeout=120)
    assert said == "unconfined"


def test_out_of_memory_is_told(daemon: Wherryd) -> None:
    options = ("--name", "hog", "--memory=32m", "--memory-swap=32m")
    done = daemon.docker(
        "run", *options, "busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=128M", "count=1", check=False, timeout=120
    )
    assert done.returncode == 137
    assert daemon.inspect("hog")["State"]["OOMKilled"] is True
    daemon.docker("rm", "hog", timeout=60)


def test_the_engine_says_where_it_runs(daemon: Wherryd) -> None:
    info = daemon.api("GET", "/info").json()
    assert info["CgroupVersion"] == "2"
    assert "name=apparmor" in info["SecurityOptions"]
    assert info["MemoryLimit"] is info["SwapLimit"] is info["CpuCfsQuota"] is info["PidsLimit"] is True
