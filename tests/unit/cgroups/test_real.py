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
from typing import Any

import pytest

from wherry.linux.cgroups import CgroupError, Cgroups, Hierarchy, enter, open_hierarchy
from wherry.linux.cgroups.detect import parse_mountinfo
from wherry.linux.cgroups.v2 import CgroupsV2

pytestmark = pytest.mark.root

SET = "error setting cgroup config for procHooks process"
GREEDY = """
import sys
sys.stdin.read(1)
data = bytearray(b"x") * (8 << 20)
print(end="y", flush=True)
sys.stdin.read()
"""
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
            enter(cgroups.open_entries(path))
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
                enter(cgroups.open_entries(f"{parent}/a/b/{number}"))
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8


def trees_with(pid: int, path: str) -> int:
    """In how many trees the process is in this group."""
    return sum(line.endswith(path) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())


def test_a_process_enters_by_itself(cgroups: Cgroups, parent: str) -> None:
    """enter puts the calling process, and nothing else, into every tree."""
    path = f"{parent}/self"
    cgroups.create(path)
    pid = os.fork()
    if pid == 0:
        try:
            enter(cgroups.open_entries(path))
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


@pytest.mark.parametrize(
    ("resources", "message", "step"),
    [
        (
            {"cpu": {"cpus": "4000"}},
            'failed to write "4000": write {cpuset}/cpuset.cpus: numerical result out of range',
            "unable to apply cgroup configuration",
        ),
        (
            {"cpu": {"realtimeRuntime": 200, "realtimePeriod": 100}},
            'failed to write "200": write {cpu}/cpu.rt_runtime_us: invalid argument',
            "unable to apply cgroup configuration",
        ),
        ({"cpu": {"shares": 1}}, "the minimum allowed cpu-shares is 2", SET),
        ({"cpu": {"shares": 999999}}, "the maximum allowed cpu-shares is 262144", SET),
        (
            {"cpu": {"period": 100000, "quota": 500}},
            'failed to write "500": write {cpu}/cpu.cfs_quota_us: invalid argument',
            SET,
        ),
        ({"cpu": {"period": 10}}, 'failed to write "10": write {cpu}/cpu.cfs_period_us: invalid argument', SET),
        (
            {"memory": {"limit": 100 << 20, "swap": 50 << 20}},
            'failed to write "52428800": write {memory}/memory.memsw.limit_in_bytes: invalid argument',
            SET,
        ),
        ({"blockIO": {"leafWeight": 500}}, "openat2 {blkio}/blkio.leaf_weight: no such file or directory", SET),
        (
            {"blockIO": {"throttleReadBpsDevice": [{"major": 99, "minor": 0, "rate": 100}]}},
            'failed to write "99:0 100": write {blkio}/blkio.throttle.read_bps_device: no such device',
            SET,
        ),
        ({"network": {"classID": 5}}, "cannot set net_cls limit: container could not join or create cgroup", SET),
        ({"rdma": {"m": {"hcaHandles": 3}}}, "cannot set rdma limit: container could not join or create cgroup", SET),
    ],
)
def test_a_refused_limit_is_said_as_by_runc(
    parent_v1: tuple[Cgroups, str], resources: dict[str, Any], message: str, step: str
) -> None:
    """The whole message: runc 1.1.5 was asked for the same on the same machine."""
    cgroups, path = parent_v1
    directories = {name: cgroups.directory(path, name) for name in ("cpu", "cpuset", "memory", "blkio")}
    with pytest.raises(CgroupError) as refused:
        cgroups.apply(path, resources)
    assert str(refused.value) == message.format(**directories)
    assert refused.value.step == step


def test_a_limit_below_what_is_used_is_refused(parent_v1: tuple[Cgroups, str]) -> None:
    """With both numbers, as by runc."""
    cgroups, path = parent_v1
    with subprocess.Popen([sys.executable, "-ISE", "-c", GREEDY], stdin=-1, stdout=-1) as greedy:
        cgroups.attach(path, greedy.pid)
        assert greedy.stdin is not None
        assert greedy.stdout is not None
        greedy.stdin.write(b"x")
        greedy.stdin.flush()
        assert greedy.stdout.read(1) == b"y"
        with pytest.raises(
            CgroupError, match=r"unable to set memory limit to 1048576 \(current usage: \d+, peak usage: \d+"
        ):
            cgroups.apply(path, {"memory": {"limit": 1 << 20}})
        greedy.communicate(timeout=10)


def test_an_update_names_only_a_part(parent_v1: tuple[Cgroups, str]) -> None:
    """Memory with swap goes up and down past its old values; a part that is not named stays."""
    cgroups, path = parent_v1
    mebi = 1 << 20
    memory = cgroups.directory(path, "memory")

    def limits() -> tuple[int, int]:
        names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        first, second = (int(Path(f"{memory}/{name}").read_text()) for name in names)
        return first, second

    for limit, swap in ((100, 200), (300, 400), (30, 40), (40, 40), (20, 60)):
        cgroups.apply(path, {"memory": {"limit": limit * mebi, "swap": swap * mebi}})
        assert limits() == (limit * mebi, swap * mebi)
    cgroups.apply(path, {"memory": {"swap": 80 * mebi}})
    assert limits() == (20 * mebi, 80 * mebi)
    cgroups.apply(path, {"memory": {"limit": 50 * mebi}, "cpu": {}})
    assert limits() == (50 * mebi, 80 * mebi)
    cgroups.apply(path, {"memory": {"limit": -1}})
    assert min(limits()) > 1 << 60


def test_an_update_that_is_refused_changes_nothing(parent_v1: tuple[Cgroups, str]) -> None:
    """What was written before the refusal is taken back."""
    cgroups, path = parent_v1
    before = {"memory": {"limit": 64 << 20, "swap": 64 << 20}, "pids": {"limit": 9}}
    cgroups.apply(path, before)
    asked = {"memory": {"limit": 32 << 20, "swap": 32 << 20}, "pids": {"limit": 5}, "cpu": {"period": 10}}
    with pytest.raises(CgroupError, match=r"cpu\.cfs_period_us"):
        cgroups.update(path, asked, before)
    files = (("memory", "memory.limit_in_bytes"), ("memory", "memory.memsw.limit_in_bytes"), ("pids", "pids.max"))
    have = [int(Path(f"{cgroups.directory(path, controller)}/{name}").read_text()) for controller, name in files]
    assert have == [64 << 20, 64 << 20, 9]


def test_burst_follows_its_quota(parent_v1: tuple[Cgroups, str]) -> None:
    """Whichever of the three has to be written first."""
    cgroups, path = parent_v1
    directory = cgroups.directory(path, "cpu")
    for period, quota, burst in ((100000, 50000, 40000), (10000, 5000, 4000), (1000000, 900000, 0)):
        cgroups.apply(path, {"cpu": {"period": period, "quota": quota, "burst": burst}})
        names = ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.cfs_burst_us")
        assert [int(Path(f"{directory}/{name}").read_text()) for name in names] == [period, quota, burst]


def test_real_time_comes_from_the_groups_above(parent_v1: tuple[Cgroups, str]) -> None:
    """A new parent has none: it is given what its children need together."""
    cgroups, path = parent_v1
    if not os.path.exists(f"{cgroups.directory(path, 'cpu')}/cpu.rt_runtime_us"):
        pytest.skip("a kernel without CONFIG_RT_GROUP_SCHED")
    for name in ("a", "b"):
        cgroups.create(f"{path}/{name}")
        cgroups.apply(f"{path}/{name}", {"cpu": {"realtimePeriod": 100000, "realtimeRuntime": 5000}})
    have = {name: Path(f"{cgroups.directory(path, 'cpu')}/{name}/cpu.rt_runtime_us").read_text() for name in ("a", ".")}
    assert int(have["a"]) == 5000
    assert 100000 <= int(have["."]) <= 100010


def test_devices_change_under_a_running_process(parent_v1: tuple[Cgroups, str]) -> None:
    """The new rules are in force, exactly."""
    cgroups, path = parent_v1
    listed = Path(f"{cgroups.directory(path, 'devices')}/devices.list")
    cgroups.apply(path, {"devices": [{"allow": False, "access": "rwm"}, device("c", 1, 3), device("c", 1, 5, "r")]})
    assert listed.read_text() == "c 1:3 rwm\nc 1:5 r\n"
    cgroups.apply(path, {"devices": [{"allow": False, "access": "rwm"}, device("c", 1, 3, "r"), device("c", 1, 5)]})
    assert sorted(listed.read_text().splitlines()) == ["c 1:3 r", "c 1:5 rwm"]
    cgroups.apply(path, {"devices": [{"allow": True, "access": "rwm"}]})
    assert listed.read_text() == "a *:* rwm\n"


def test_devices_that_the_group_above_does_not_have_are_refused(parent_v1: tuple[Cgroups, str]) -> None:
    """The kernel's no, rather than a container with less than it was promised."""
    cgroups, path = parent_v1
    cgroups.apply(path, {"devices": [{"allow": False, "access": "rwm"}, device("c", 1, 3)]})
    cgroups.create(f"{path}/below")
    with pytest.raises(CgroupError, match=r'failed to write "c 1:5 rwm": .*operation not permitted'):
        cgroups.apply(f"{path}/below", {"devices": [{"allow": False, "access": "rwm"}, device("c", 1, 5)]})


def test_a_frozen_parent_does_not_make_a_container_paused(
    cgroups: Cgroups, parent: str, sleeper: subprocess.Popen[bytes]
) -> None:
    """Only what was frozen itself counts."""
    path = f"{parent}/child"
    cgroups.create(path)
    cgroups.attach(path, sleeper.pid)
    cgroups.freeze(parent)
    assert not cgroups.frozen(path)
    cgroups.freeze(path)
    assert cgroups.frozen(path)
    cgroups.thaw(parent)
    assert cgroups.frozen(path)
    cgroups.thaw(path)
    assert not cgroups.frozen(path)


def test_one_path_for_trees_in_which_it_differs(
    cgroups: Cgroups, parent: str, sleeper: subprocess.Popen[bytes]
) -> None:
    """Every method finds the group in each tree."""
    if cgroups.version != 1:
        pytest.skip("only v1 has several trees")
    path = f"{parent}/common\nmemory:{parent}/of-memory\ncpuset:{parent}/x/of-cpuset"
    cgroups.create(path)
    cgroups.apply(path, {"memory": {"limit": 64 << 20}, "pids": {"limit": 9}})
    cgroups.attach(path, sleeper.pid)
    groups = dict(line.split(":")[1:] for line in Path(f"/proc/{sleeper.pid}/cgroup").read_text().splitlines())
    assert (groups["memory"], groups["pids"]) == (f"{parent}/of-memory", f"{parent}/common")
    assert groups["cpuset"] == f"{parent}/x/of-cpuset"
    assert cgroups.procs(path) == [sleeper.pid]
    used = cgroups.stats(path)
    assert (used.pids_limit, used.memory_limit) == (9, 64 << 20)
    cgroups.kill(path)
    cgroups.remove(path)
    assert not cgroups.exists(path)


@pytest.fixture
def v2_parent() -> Iterator[tuple[CgroupsV2, str]]:
    """A group in the machine's v2 tree with what controllers that has, which may be none."""
    trees = [tree for tree in parse_mountinfo(Path("/proc/self/mountinfo").read_text()) if tree.unified]
    if not trees:
        pytest.skip("no v2 tree")
    offered = Path(f"{trees[0].mountpoint}/cgroup.controllers").read_text().split()
    cgroups = CgroupsV2(Hierarchy(trees[0].mountpoint, tuple(offered), unified=True))
    path = f"/wherry-test-{os.getpid()}"
    cgroups.create(path)
    yield cgroups, path
    cgroups.kill(path)
    cgroups.remove(path)


def opens(cgroups: Cgroups, path: str, device_path: str, flags: int) -> bool:
    """Whether a process of the group can open a device."""
    pid = os.fork()
    if pid == 0:
        try:
            enter(cgroups.open_entries(path))
            os.open(device_path, flags)
            os._exit(0)
        except PermissionError:
            os._exit(1)
        finally:
            os._exit(2)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 1)
    return status == 0


def test_v2_devices_are_denied_by_the_kernel(v2_parent: tuple[CgroupsV2, str]) -> None:
    """The program is loaded, attached and asked; another takes its place, and only one is there."""
    cgroups, path = v2_parent
    denied = {"allow": False, "access": "rwm"}
    cgroups.apply(path, {"devices": [denied, device("c", 1, 3), device("c", 1, 5, "r"), device("c", 1, 5, "w")]})
    assert opens(cgroups, path, "/dev/null", os.O_RDWR)
    assert opens(cgroups, path, "/dev/zero", os.O_RDWR)
    assert not opens(cgroups, path, "/dev/full", os.O_RDONLY)
    cgroups.apply(path, {"devices": [denied, device("c", 1, 5, "r")]})
    assert not opens(cgroups, path, "/dev/null", os.O_RDONLY)
    assert opens(cgroups, path, "/dev/zero", os.O_RDONLY)
    assert not opens(cgroups, path, "/dev/zero", os.O_RDWR)
    but_one = [{"allow": True, "access": "rwm"}, {**device("c", 1, 7, "w"), "allow": False}]
    cgroups.apply(path, {"devices": but_one})
    assert opens(cgroups, path, "/dev/full", os.O_RDONLY)
    assert not opens(cgroups, path, "/dev/full", os.O_RDWR)
    assert opens(cgroups, path, "/dev/null", os.O_RDWR)


def test_v2_controllers_need_a_parent_without_processes(
    v2_parent: tuple[CgroupsV2, str], sleeper: subprocess.Popen[bytes]
) -> None:
    """The limit that cannot be had names the group and the reason."""
    cgroups, path = v2_parent
    limits = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]}
    if "hugetlb" not in cgroups.controllers:
        pytest.skip("no controller at all on this v2 tree")
    cgroups.create(f"{path}/good")
    cgroups.apply(f"{path}/good", limits)
    directory = f"{cgroups.hierarchies[0].mountpoint}{path}"
    assert Path(f"{directory}/good/hugetlb.2MB.max").read_text() == f"{4 << 20}\n"
    assert Path(f"{directory}/good/hugetlb.2MB.rsvd.max").read_text() == f"{4 << 20}\n"
    cgroups.create(f"{path}/busy")
    cgroups.attach(f"{path}/busy", sleeper.pid)
    cgroups.create(f"{path}/busy/below")
    with pytest.raises(CgroupError) as refused:
        cgroups.apply(f"{path}/busy/below", limits)
    assert str(refused.value) == (
        f"openat2 {directory}/busy/below/hugetlb.2MB.max: no such file or directory "
        f"(the hugetlb controller is not enabled in {directory}/busy: it has processes of its own)"
    )
    with pytest.raises(CgroupError, match=r"no such file or directory \(this machine has no memory controller\)"):
        cgroups.apply(f"{path}/good", {"memory": {"limit": 1 << 20}})
    with pytest.raises(CgroupError, match=r'"memory\.high" can.t be set: controller "memory" not'):
        cgroups.apply(f"{path}/good", {"unified": {"memory.high": "5"}})


def test_v2_threaded_groups(v2_parent: tuple[CgroupsV2, str], sleeper: subprocess.Popen[bytes]) -> None:
    """Beside a threaded group a new one can be only threaded: it takes processes, and no limits on what they share."""
    cgroups, path = v2_parent
    directory = f"{cgroups.hierarchies[0].mountpoint}{path}"
    os.mkdir(f"{directory}/threaded")
    Path(f"{directory}/threaded/cgroup.type").write_text("threaded")
    cgroups.create(f"{path}/other")
    assert Path(f"{directory}/other/cgroup.type").read_text() == "threaded\n"
    cgroups.attach(path, sleeper.pid)
    cgroups.attach(f"{path}/other", sleeper.pid)
    assert cgroups.procs(f"{path}/other") == [sleeper.pid]
    with pytest.raises(CgroupError, match="with domain controllers -- it is in threaded mode"):
        cgroups.apply(f"{path}/other", {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})
    cgroups.kill(f"{path}/other")
    assert sleeper.wait(5) == -signal.SIGKILL


def test_v2_delegation_hands_over_what_the_kernel_says(v2_parent: tuple[CgroupsV2, str]) -> None:
    """The directory and the files to make groups and move processes below it; no limit."""
    cgroups, path = v2_parent
    directory = Path(f"{cgroups.hierarchies[0].mountpoint}{path}")
    cgroups.delegate(path, 4321)
    owned = {name.name for name in directory.iterdir() if name.stat().st_uid == 4321}
    assert {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} <= owned
    assert directory.stat().st_uid == 4321
    assert not any(name.endswith(".max") for name in owned)


def device(kind: str, major: int, minor: int, access: str = "rwm") -> dict[str, Any]:
    """A rule that allows one device."""
    return {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}


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
