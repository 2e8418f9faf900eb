"""The kernel's own control groups: what is written holds, and nothing stays behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.linux.cgroups import CgroupError, Cgroups, Hierarchy, open_hierarchy
from wherry.linux.cgroups.detect import parse_mountinfo
from wherry.linux.cgroups.v2 import CgroupsV2

pytestmark = pytest.mark.root

HOG = "data = []\nwhile True: data.append(bytearray(1 << 20))"


@pytest.fixture(params=["host", "unified"])
def cgroups(request: pytest.FixtureRequest) -> Cgroups:
    """The machine's control groups, and its bare v2 tree if it has one beside v1."""
    machine = open_hierarchy()
    if request.param == "host":
        return machine
    trees = [tree for tree in parse_mountinfo(Path("/proc/self/mountinfo").read_text()) if tree.unified]
    if machine.version == 2 or not trees:
        pytest.skip("no second v2 tree")
    return CgroupsV2(Hierarchy(trees[0].mountpoint, (), unified=True))


@pytest.fixture
def parent(cgroups: Cgroups) -> Iterator[str]:
    """A group for the test alone, removed with all in it."""
    path = f"/wherry-test-{os.getpid()}"
    yield path
    cgroups.kill(path)
    cgroups.remove(path)
    assert not cgroups.exists(path)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be killed."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_create_attach_list_kill_remove(cgroups: Cgroups, parent: str, sleeper: subprocess.Popen[bytes]) -> None:
    """The whole life of a group; making and removing twice is no error."""
    path = f"{parent}/one"
    cgroups.create(path)
    cgroups.create(path)
    cgroups.attach(path, sleeper.pid)
    assert cgroups.procs(path) == cgroups.procs(parent) == [sleeper.pid]
    cgroups.kill(path)
    assert sleeper.wait(5) == -signal.SIGKILL
    cgroups.remove(path)
    cgroups.remove(path)
    assert cgroups.procs(path) == []


def test_first_starts_do_not_race_for_a_new_parent(cgroups: Cgroups, parent: str) -> None:
    """Whoever finds a parent without CPUs, made by somebody who has not got further yet, gives it some."""
    for tree in cgroups.hierarchies:
        os.makedirs(tree.at(parent) + "/made/bare")
    path = f"{parent}/made/bare/one"
    cgroups.create(path)
    pid = os.fork()
    if pid == 0:
        try:
            cgroups.attach_self(path)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_many_first_starts_at_once(cgroups: Cgroups, parent: str) -> None:
    """Eight processes make and enter groups below the same new parents."""
    children = []
    for number in range(8):
        pid = os.fork()
        if pid == 0:
            try:
                cgroups.create(f"{parent}/a/b/{number}")
                cgroups.attach_self(f"{parent}/a/b/{number}")
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8


def trees_with(pid: int, path: str) -> int:
    """In how many trees the process is in this group."""
    return sum(line.endswith(path) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())


def test_a_process_enters_by_itself(cgroups: Cgroups, parent: str) -> None:
    """attach_self puts the calling process, and nothing else, into every tree."""
    path = f"{parent}/self"
    cgroups.create(path)
    pid = os.fork()
    if pid == 0:
        try:
            cgroups.attach_self(path)
            time.sleep(30)
        finally:
            os._exit(1)
    try:
        deadline = time.monotonic() + 10
        while trees_with(pid, path) < len(cgroups.hierarchies) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert trees_with(pid, path) == len(cgroups.hierarchies)
        assert cgroups.procs(path) == [pid]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_frozen_group_stands_still_and_can_be_killed(
    cgroups: Cgroups, parent: str, sleeper: subprocess.Popen[bytes]
) -> None:
    """Freeze, thaw, freeze, kill."""
    path = f"{parent}/frozen"
    cgroups.create(path)
    cgroups.attach(path, sleeper.pid)
    cgroups.freeze(path)
    assert cgroups.frozen(path)
    cgroups.thaw(path)
    assert not cgroups.frozen(path)
    cgroups.freeze(path)
    cgroups.kill(path)
    assert sleeper.wait(5) == -signal.SIGKILL


def test_removal_takes_what_the_container_nested(cgroups: Cgroups, parent: str) -> None:
    """A privileged container may nest groups deeper than any stack."""
    path = f"{parent}/deep"
    cgroups.create(path)
    for tree in cgroups.hierarchies:
        os.makedirs(tree.at(path) + "/a" * 40)
    cgroups.remove(path)
    assert not cgroups.exists(path)


def test_removal_says_who_is_still_inside(cgroups: Cgroups, parent: str, sleeper: subprocess.Popen[bytes]) -> None:
    """Busy beyond the deadline names the processes."""
    cgroups.create(parent)
    cgroups.attach(parent, sleeper.pid)
    with pytest.raises(CgroupError, match=rf"still in it: .*{sleeper.pid}"):
        cgroups.remove(parent, timeout=0.05)


def test_limits_hold(parent_v1: tuple[Cgroups, str]) -> None:
    """What is applied is what the kernel says afterwards, up and down again."""
    cgroups, path = parent_v1
    mebi = 1 << 20

    def value(controller: str, name: str) -> str:
        return Path(f"{cgroups.directory(path, controller)}/{name}").read_text().strip()

    for memory in (64, 32, 256):
        cgroups.apply(path, {"memory": {"limit": memory * mebi, "swap": 2 * memory * mebi}})
        assert value("memory", "memory.limit_in_bytes") == str(memory * mebi)
    for period, quota in ((100000, 50000), (10000, 9000), (1000000, 200000)):
        cgroups.apply(path, {"cpu": {"period": period, "quota": quota, "shares": 512, "cpus": "0"}})
        assert (value("cpu", "cpu.cfs_period_us"), value("cpu", "cpu.cfs_quota_us")) == (str(period), str(quota))
    assert value("cpuset", "cpuset.cpus") == "0"
    cgroups.apply(path, {"pids": {"limit": 7}})
    assert value("pids", "pids.max") == "7"
    cgroups.apply(path, {"pids": {"limit": -1}})
    assert value("pids", "pids.max") == "max"


def test_devices_are_denied(parent_v1: tuple[Cgroups, str]) -> None:
    """The rules are in force in their order."""
    cgroups, path = parent_v1
    allowed = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
    cgroups.apply(path, {"devices": [{"allow": False, "access": "rwm"}, allowed]})
    listed = Path(f"{cgroups.directory(path, 'devices')}/devices.list").read_text()
    assert listed == "c 1:3 rwm\n"


def test_lack_of_memory_is_counted_and_reported(parent_v1: tuple[Cgroups, str]) -> None:
    """A process killed by the kernel shows in the count, and the descriptor wakes whoever waits."""
    cgroups, path = parent_v1
    cgroups.apply(path, {"memory": {"limit": 16 << 20, "swap": 16 << 20}})
    assert cgroups.oom_count(path) == 0
    event = cgroups.oom_events(path)
    try:
        with subprocess.Popen([sys.executable, "-ISE", "-c", f"import sys; sys.stdin.read(1)\n{HOG}"], stdin=-1) as hog:
            cgroups.attach(path, hog.pid)
            hog.communicate(b"x", timeout=30)
        assert hog.returncode == -signal.SIGKILL
        assert cgroups.oom_count(path) == 1
        assert select.select([event], [], [], 5)[0]
    finally:
        os.close(event)


def test_what_is_used_is_counted(parent_v1: tuple[Cgroups, str], sleeper: subprocess.Popen[bytes]) -> None:
    """Processes, memory and CPU time of the group, and not of the machine."""
    cgroups, path = parent_v1
    cgroups.apply(path, {"memory": {"limit": 64 << 20}, "pids": {"limit": 9}})
    cgroups.attach(path, sleeper.pid)
    used = cgroups.stats(path)
    assert (used.pids, used.pids_limit, used.memory_limit) == (1, 9, 64 << 20)
    assert 0 <= used.cpu_total < 10**10
    assert "total_rss" in used.memory or "anon" in used.memory


def test_a_group_that_is_gone_has_no_stats(cgroups: Cgroups) -> None:
    """Rather than zeros."""
    with pytest.raises(CgroupError, match="does not exist"):
        cgroups.stats("/wherry-test-none")


def test_a_refused_limit_names_the_file(parent_v1: tuple[Cgroups, str]) -> None:
    """The kernel's EINVAL alone would help nobody."""
    cgroups, path = parent_v1
    with pytest.raises(CgroupError, match=r"cpuset\.cpus"):
        cgroups.apply(path, {"cpu": {"cpus": "4000"}})


@pytest.fixture
def parent_v1() -> Iterator[tuple[Cgroups, str]]:
    """A group in trees that have controllers of v1."""
    cgroups = open_hierarchy()
    if cgroups.version != 1:
        pytest.skip("not a v1 machine")
    path = f"/wherry-test-{os.getpid()}"
    cgroups.create(path)
    yield cgroups, path
    cgroups.kill(path)
    cgroups.remove(path)
