"""``docker update``: limits of a container that runs change at once, of one that does not at its next start."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from support.commands import eventually
from support.daemons import Daemon

MEBI = 1 << 20


def sleeping(daemon: Daemon, *args: str) -> str:
    return daemon.out("run", "-d", "--network", "none", *args, "busybox", "sleep", "300")


def limit(daemon: Daemon, name: str, file: str) -> str:
    """A file of the container's cgroup, as it sees it."""
    return daemon.out("exec", name, "cat", f"/sys/fs/cgroup/{file}")


def host_config(daemon: Daemon, name: str) -> dict[str, Any]:
    return daemon.inspect(name)["HostConfig"]


def refused(daemon: Daemon, *args: str) -> str:
    done = daemon.docker("update", *args, check=False)
    assert done.returncode == 1, done.stdout
    return done.stderr.strip()


@pytest.fixture
def v1(daemon: Daemon) -> None:
    if daemon.out("info", "-f", "{{.CgroupVersion}}") != "1":
        pytest.skip("reads the files of cgroup v1")


@pytest.mark.usefixtures("v1")
def test_limits_change_while_it_runs(daemon: Daemon) -> None:
    """The kernel holds them at once, and inspect shows them."""
    name = sleeping(daemon, "-m", "64m", "--memory-swap", "128m")
    assert daemon.out("update", "-m", "32m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "50", name) == name
    files = ("memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us", "cpu/cpu.shares", "pids/pids.max")
    assert [limit(daemon, name, file) for file in files] == [str(32 * MEBI), "50000", "512", "50"]
    assert limit(daemon, name, "memory/memory.memsw.limit_in_bytes") == str(128 * MEBI)
    host = host_config(daemon, name)
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        32 * MEBI,
        128 * MEBI,
        500_000_000,
        50,
    )


@pytest.mark.usefixtures("v1")
def test_limits_may_rise(daemon: Daemon) -> None:
    """Both at once, whatever order the kernel wants; and a limit of processes goes."""
    name = sleeping(daemon, "-m", "32m", "--memory-swap", "64m", "--pids-limit", "5")
    daemon.docker("update", "-m", "200m", "--memory-swap", "300m", "--pids-limit", "-1", name)
    assert limit(daemon, name, "memory/memory.limit_in_bytes") == str(200 * MEBI)
    assert limit(daemon, name, "memory/memory.memsw.limit_in_bytes") == str(300 * MEBI)
    assert limit(daemon, name, "pids/pids.max") == "max"


@pytest.mark.usefixtures("v1")
def test_a_stopped_container_gets_it_when_it_starts(daemon: Daemon) -> None:
    name = daemon.out("create", "--network", "none", "busybox", "sleep", "300")
    daemon.docker("update", "--cpuset-cpus", "0", "-m", "64m", "--memory-swap", "64m", name)
    daemon.docker("start", name)
    assert limit(daemon, name, "cpuset/cpuset.cpus") == "0"
    assert limit(daemon, name, "memory/memory.limit_in_bytes") == str(64 * MEBI)


@pytest.mark.usefixtures("v1")
@pytest.mark.ours
def test_a_paused_container_too_and_a_new_daemon_knows(own_daemon: Daemon) -> None:
    name = sleeping(own_daemon)
    own_daemon.docker("pause", name)
    own_daemon.docker("update", "--cpu-shares", "100", name)
    own_daemon.kill9()
    own_daemon.start()
    own_daemon.docker("unpause", name)
    assert limit(own_daemon, name, "cpu/cpu.shares") == "100"
    assert host_config(own_daemon, name)["CpuShares"] == 100


def test_a_restart_policy(daemon: Daemon) -> None:
    """It holds for the container that is running."""
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sh", "-c", "sleep 1; exit 3")
    daemon.docker("update", "--restart", "on-failure:2", name)
    assert host_config(daemon, name)["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    eventually("it was started again", lambda: daemon.inspect(name)["RestartCount"] > 0, within=10)
    daemon.docker("update", "--restart", "no", name)


def test_an_event_tells(daemon: Daemon) -> None:
    name = sleeping(daemon)
    daemon.docker("update", "--cpu-shares", "100", name)
    until = str(int(time.time()) + 2)
    told = daemon.out("events", "--since", "1m", "--until", until, "--filter", "event=update", "--format", "{{json .}}")
    event = json.loads(told.splitlines()[-1])
    assert (event["Type"], event["Action"], event["Actor"]["ID"]) == ("container", "update", name)


def test_what_does_not_go_together(daemon: Daemon) -> None:
    """dockerd's words."""
    name = sleeping(daemon, "-m", "64m", "--memory-swap", "64m", "--cpus", "0.5")
    cannot = f"Error response from daemon: Cannot update container {name}: "
    assert refused(daemon, "-m", "200m", name) == (
        f"{cannot}Memory limit should be smaller than already set memoryswap limit, "
        "update the memoryswap at the same time"
    )
    assert refused(daemon, "--cpu-quota", "20000", name) == (
        f"{cannot}Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
    )
    assert "Minimum memory limit allowed is 6MB" in refused(daemon, "-m", "4m", name)
    assert "Requested CPUs are not available - requested 4000" in refused(daemon, "--cpuset-cpus", "4000", name)
    assert "invalid restart policy" in refused(daemon, "--restart", "sometimes", name)
    assert "No such container: nobody" in refused(daemon, "--cpus", "1", "nobody")
    host = host_config(daemon, name)
    assert (host["Memory"], host["NanoCpus"], host["CpuQuota"]) == (64 * MEBI, 500_000_000, 0)
    removed = daemon.out("run", "-d", "--rm", "--network", "none", "busybox", "sleep", "300")
    assert "AutoRemove is enabled for the container" in refused(daemon, "--restart", "always", removed)


@pytest.mark.usefixtures("v1")
def test_what_the_kernel_refuses_is_not_stored(daemon: Daemon) -> None:
    """Memory and swap below memory alone: the kernel's word, and all is as before."""
    name = sleeping(daemon, "-m", "64m", "--memory-swap", "128m")
    assert "memory.memsw.limit_in_bytes: invalid argument" in refused(daemon, "--memory-swap", "32m", name)
    if daemon.kind == "wherryd":
        assert host_config(daemon, name)["MemorySwap"] == 128 * MEBI
