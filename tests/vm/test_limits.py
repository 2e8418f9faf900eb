"""Limits of an OCI ``linux.resources`` on cgroup v2: the kernel's files say them, and programs feel them."""

from __future__ import annotations

import os
import sys
import time

import pytest

from support.commands import eventually
from vm.conftest import DISK, TREE, Inside
from wherry.linux.cgroups import CgroupError, Cgroups

MIB = 1 << 20


def values(group: str, *names: str) -> list[str]:
    return [(TREE / group[1:] / name).read_text().strip() for name in names]


def test_memory_and_swap(cgroups: Cgroups, group: str) -> None:
    """v1's memory+swap becomes v2's swap alone; the reservation is memory.low."""
    cgroups.apply(group, {"memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB}})
    assert values(group, "memory.max", "memory.swap.max", "memory.low") == [str(n * MIB) for n in (64, 32, 32)]
    cgroups.apply(group, {"memory": {"limit": -1, "swap": -1}})
    assert values(group, "memory.max", "memory.swap.max") == ["max", "max"]


def test_memory_without_swap_kills_and_is_counted(cgroups: Cgroups, group: str, inside: Inside) -> None:
    cgroups.apply(group, {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}})
    assert cgroups.oom_count(group) == 0
    events = cgroups.oom_events(group)
    try:
        hog = inside(group, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
        assert hog.wait(60) == -9
        assert os.read(events, 4096)
    finally:
        os.close(events)
    assert cgroups.oom_count(group) == 1
    assert cgroups.stats(group).memory_failures >= 1


def test_memory_that_swap_can_take_is_swapped(cgroups: Cgroups, group: str, inside: Inside) -> None:
    cgroups.apply(group, {"memory": {"limit": 32 * MIB, "swap": 128 * MIB}})
    hog = inside(group, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
    assert hog.wait(60) == 0
    assert cgroups.oom_count(group) == 0
    assert 24 * MIB < cgroups.stats(group).memory_peak <= 32 * MIB


def test_cpu(cgroups: Cgroups, group: str) -> None:
    cgroups.apply(group, {"cpu": {"shares": 512, "quota": 20_000, "period": 100_000, "burst": 10_000}})
    assert values(group, "cpu.max", "cpu.max.burst") == ["20000 100000", "10000"]
    weight = int(values(group, "cpu.weight")[0])
    assert 1 < weight < 100
    cgroups.apply(group, {"cpu": {"shares": 1024}})
    assert values(group, "cpu.weight") == ["100"]
    cgroups.apply(group, {"cpu": {"idle": 1}})
    assert values(group, "cpu.idle") == ["1"]


def test_a_loop_is_held_to_its_quota(cgroups: Cgroups, group: str, inside: Inside) -> None:
    cgroups.apply(group, {"cpu": {"quota": 20_000, "period": 100_000}})
    loop = inside(group, "sh", "-c", "while :; do :; done")
    eventually("the loop is throttled", lambda: cgroups.stats(group).throttled_periods >= 3, within=60)
    start, used = time.monotonic(), cgroups.stats(group).cpu_total
    time.sleep(3)
    share = (cgroups.stats(group).cpu_total - used) / 1e9 / (time.monotonic() - start)
    loop.kill()
    loop.wait()
    assert share < 0.4  # a fifth, with room for a busy machine; unlimited it is one


def test_pids(cgroups: Cgroups, group: str, inside: Inside) -> None:
    cgroups.apply(group, {"pids": {"limit": 3}})
    assert values(group, "pids.max") == ["3"]
    assert cgroups.stats(group).pids_limit == 3
    forker = inside(group, "sh", "-c", "for n in 1 2 3 4; do sleep 30 & done; wait")
    eventually("a fork is refused", lambda: values(group, "pids.events") != ["max 0"], within=30)
    assert cgroups.stats(group).pids == 3
    cgroups.kill(group)
    forker.wait()
    cgroups.apply(group, {"pids": {"limit": -1}})
    assert values(group, "pids.max") == ["max"]


def test_cpuset(cgroups: Cgroups, group: str, inside: Inside) -> None:
    cgroups.apply(group, {"cpu": {"cpus": "1", "mems": "0"}})
    assert values(group, "cpuset.cpus.effective", "cpuset.mems.effective") == ["1", "0"]
    shown = inside(group, "grep", "Cpus_allowed_list", "/proc/self/status")
    assert shown.communicate()[0].split() == ["Cpus_allowed_list:", "1"]
    with pytest.raises(CgroupError, match=r"cpuset\.cpus"):
        cgroups.apply(group, {"cpu": {"cpus": "7"}})


def disk_number() -> tuple[int, int]:
    device = os.stat("/dev/vda").st_rdev
    return os.major(device), os.minor(device)


def test_io_limits_read_back(cgroups: Cgroups, group: str) -> None:
    major, minor = disk_number()
    here = {"major": major, "minor": minor}
    cgroups.apply(
        group,
        {
            "blockIO": {
                "weight": 500,
                "throttleReadBpsDevice": [{**here, "rate": 4 * MIB}],
                "throttleWriteBpsDevice": [{**here, "rate": 2 * MIB}],
                "throttleReadIOPSDevice": [{**here, "rate": 400}],
                "throttleWriteIOPSDevice": [{**here, "rate": 200}],
            }
        },
    )
    assert values(group, "io.max") == [f"{major}:{minor} rbps={4 * MIB} wbps={2 * MIB} riops=400 wiops=200"]
    assert values(group, "io.weight") == ["default 4950"]


def test_writes_are_held_to_their_rate(cgroups: Cgroups, group: str, inside: Inside) -> None:
    """Four MiB past the page cache at one MiB a second take their time, and are counted."""
    major, minor = disk_number()
    cgroups.apply(group, {"blockIO": {"throttleWriteBpsDevice": [{"major": major, "minor": minor, "rate": MIB}]}})
    start = time.monotonic()
    writer = inside(group, "/usr/bin/dd", "if=/dev/zero", f"of={DISK}/written", "bs=1M", "count=4", "oflag=direct")
    assert writer.wait(60) == 0
    assert time.monotonic() - start > 2
    written = {(item.major, item.minor): item.value for item in cgroups.stats(group).block_bytes if item.op == "write"}
    assert written[major, minor] >= 4 * MIB


def test_huge_pages_and_raw_settings(cgroups: Cgroups, group: str) -> None:
    cgroups.apply(
        group,
        {
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}],
            "unified": {"memory.high": str(48 * MIB), "memory.oom.group": "1"},
        },
    )
    assert values(group, "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max") == [str(4 * MIB)] * 2
    assert values(group, "memory.high", "memory.oom.group") == [str(48 * MIB), "1"]
    with pytest.raises(CgroupError, match=r"nonsense\.max"):
        cgroups.apply(group, {"unified": {"nonsense.max": "1"}})


def test_a_frozen_group_stands_still_and_dies_when_killed(cgroups: Cgroups, group: str, inside: Inside) -> None:
    counter = inside(group, sys.executable, "-ISc", "import time\nwhile 1: time.sleep(0.01)")
    eventually("it runs", lambda: cgroups.stats(group).cpu_total > 100_000_000, within=60)
    cgroups.freeze(group)
    assert cgroups.frozen(group)
    used = cgroups.stats(group).cpu_total
    time.sleep(0.5)
    assert cgroups.stats(group).cpu_total == used
    cgroups.thaw(group)
    assert not cgroups.frozen(group)
    eventually("it runs again", lambda: cgroups.stats(group).cpu_total > used, within=30)
    cgroups.freeze(group)
    cgroups.kill(group)
    assert counter.wait(30) == -9
    assert cgroups.procs(group) == []


def test_kill_reaches_a_tree_that_forks(cgroups: Cgroups, group: str, inside: Inside) -> None:
    cgroups.apply(group, {"pids": {"limit": 60}})
    bomb = inside(group, "sh", "-c", "f() { while :; do (sleep 5; f) & sleep 0.05; done; }; f 2>/dev/null")
    eventually("it has spread", lambda: len(cgroups.procs(group)) > 10, within=60)
    cgroups.kill(group)
    assert bomb.wait(30) == -9
    assert cgroups.procs(group) == []
