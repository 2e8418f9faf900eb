"""Traps of cgroup v2: processes in a group above, threaded groups, a subtree that is a user's, updates of a part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vm.conftest import TREE, Inside
from wherry.linux.cgroups import CgroupError, Cgroups, enter, open_hierarchy

MIB = 1 << 20
USER = 1234


def value(group: str, name: str) -> str:
    return (TREE / group[1:] / name).read_text().strip()


def as_user(uid: int, work: Callable[[], None]) -> str:
    """Do ``work`` in a child without any rights; what it raised, or nothing."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = ""
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            work()
        except BaseException as error:  # noqa: BLE001  told to the parent
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_every_controller_reaches_a_nested_group(cgroups: Cgroups, group: str) -> None:
    cgroups.create(f"{group}/a/b")
    assert {"cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma"} <= set(
        value(f"{group}/a/b", "cgroup.controllers").split()
    )


def test_a_group_above_with_processes_is_named(cgroups: Cgroups, group: str, inside: Inside) -> None:
    """The kernel gives no controller to groups below processes; a limit says whose they are, no limit needs none."""
    sleeper = inside(group, "sleep", "60")
    cgroups.create(f"{group}/below")
    with pytest.raises(CgroupError, match=rf"threaded mode \(.*not enabled in {TREE}{group}: it has processes"):
        cgroups.apply(f"{group}/below", {"memory": {"limit": 64 * MIB}})
    cgroups.apply(f"{group}/below", {})
    cgroups.attach(f"{group}/below", sleeper.pid)
    assert cgroups.procs(f"{group}/below") == [sleeper.pid]
    cgroups.kill(group)
    sleeper.wait(30)


def test_beside_a_threaded_group_is_threaded(cgroups: Cgroups, group: str) -> None:
    """Limits of single threads can be had there, those of memory cannot."""
    cgroups.create(f"{group}/threaded")
    (TREE / group[1:] / "cgroup.subtree_control").write_text("-memory -io -hugetlb -rdma -misc")
    (TREE / group[1:] / "threaded/cgroup.type").write_text("threaded")
    cgroups.create(f"{group}/other")
    assert value(f"{group}/other", "cgroup.type") == "threaded"
    cgroups.apply(f"{group}/other", {"pids": {"limit": 9}, "cpu": {"shares": 512}})
    assert value(f"{group}/other", "pids.max") == "9"
    with pytest.raises(CgroupError, match="with domain controllers -- it is in threaded mode"):
        cgroups.apply(f"{group}/other", {"memory": {"limit": 64 * MIB}})


def test_an_update_of_a_part_keeps_the_rest(cgroups: Cgroups, group: str) -> None:
    cgroups.apply(group, {"cpu": {"quota": 50_000, "period": 200_000}, "memory": {"limit": 64 * MIB, "swap": -1}})
    cgroups.apply(group, {"cpu": {"quota": 20_000}})
    assert value(group, "cpu.max") == "20000 200000"
    cgroups.apply(group, {"cpu": {"period": 100_000}})
    assert value(group, "cpu.max") == "20000 100000"
    cgroups.apply(group, {"memory": {"swap": 100 * MIB}})
    assert (value(group, "memory.max"), value(group, "memory.swap.max")) == (str(64 * MIB), str(36 * MIB))
    cgroups.apply(group, {"cpu": {"quota": 10_000, "burst": 5_000}})
    cgroups.apply(group, {"cpu": {"quota": 4_000, "burst": 3_000}})
    assert (value(group, "cpu.max"), value(group, "cpu.max.burst")) == ("4000 100000", "3000")


def test_a_limit_below_what_is_used_can_be_refused(cgroups: Cgroups, group: str, inside: Inside) -> None:
    """``checkBeforeUpdate``: nothing dies of an update."""
    holder = inside(group, "sh", "-c", "sleep 60")
    limit = {"limit": 4096, "checkBeforeUpdate": True}
    with pytest.raises(CgroupError, match=r"rejecting memory limit 4096 <= usage \d+"):
        cgroups.apply(group, {"memory": limit})
    assert holder.poll() is None
    cgroups.kill(group)
    holder.wait(30)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"memory": {"swap": 5}}, "unable to set swap limit without memory limit"),
        ({"memory": {"limit": 10, "swap": 5}}, "memory+swap limit should be >= memory limit"),
        (
            {"unified": {"nothing.max": "1"}},
            'unified resource "nothing.max" can\'t be set: controller "nothing" not available',
        ),
        (
            {"unified": {"memory.nothing": "1"}},
            'unable to set unified resource "memory.nothing": openat2 {group}/memory.nothing',
        ),
        ({"cpu": {"period": 5}}, 'failed to write "max 5": write {group}/cpu.max: invalid argument'),
    ],
)
def test_refusals_are_runc_s(cgroups: Cgroups, group: str, resources: dict[str, Any], message: str) -> None:
    with pytest.raises(CgroupError) as refused:
        cgroups.apply(group, resources)
    assert message.format(group=f"{TREE}{group}") in str(refused.value)
    assert refused.value.step == "error setting cgroup config for procHooks process"


def test_a_subtree_that_was_delegated_is_its_owner_s(cgroups: Cgroups, group: str) -> None:
    """An ordinary user makes groups with limits in it, and nowhere else."""
    cgroups.delegate(group, USER)
    (TREE / group[1:] / "cgroup.subtree_control").write_text("+memory +pids")

    def work() -> None:
        theirs = open_hierarchy()
        assert theirs.rootless
        theirs.create(f"{group}/own")
        theirs.apply(f"{group}/own", {"memory": {"limit": 64 * MIB}, "pids": {"limit": 9}})
        # Rules for devices are the machine's root's to set: done without.
        theirs.apply(f"{group}/own", {"devices": [{"allow": False, "access": "rwm"}]})

    assert as_user(USER, work) == ""
    assert (value(f"{group}/own", "memory.max"), value(f"{group}/own", "pids.max")) == (str(64 * MIB), "9")
    assert "PermissionError" in as_user(USER, lambda: (TREE / group[1:] / "memory.max").write_text("max") and None)
    refused = as_user(USER, lambda: open_hierarchy().create("/wherry-test-of-a-user"))
    assert refused == f"CgroupError: mkdir {TREE}/wherry-test-of-a-user: permission denied"


def test_without_delegation_a_user_s_container_stays_where_it_is(cgroups: Cgroups) -> None:
    """No group of its own if none is asked for; a limit that cannot be had is refused, not forgotten."""
    assert not cgroups.rootless

    def work() -> None:
        theirs = open_hierarchy()
        assert theirs.resolve("", "id") == ""
        assert theirs.resolve("", "id", {"devices": [{}], "memory": {}}) == ""
        theirs.resolve("", "id", {"memory": {"limit": 1}})

    refused = as_user(USER, work)
    assert refused == "LimitError: cannot set memory limit: container could not join or create cgroup"


def test_a_relative_path_is_beside_our_own_group(cgroups: Cgroups, group: str) -> None:
    """Below us could be no controller: we are a process."""
    pid = os.fork()
    if pid == 0:
        try:
            enter(cgroups.open_entries(group))
            parent = Path(group).parent
            good = cgroups.resolve("../../x", "id") == f"{parent}/x" and cgroups.resolve("", "id") == f"{parent}/id"
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
