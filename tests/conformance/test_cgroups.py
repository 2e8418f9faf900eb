"""config-linux.md: where the control group is, and each group of resources as the kernel then shows it."""

from __future__ import annotations

import os

import pytest

from conformance.bundle import Spec, args, linux, mount, mounts, namespace, shell
from conformance.clauses import DEFINED, MAY, MUST, SHOULD, SHOULD_NOT, clause
from conformance.yard import Scope, Yard

PATH = "config-linux.md#cgroups-path"
GROUPS = "config-linux.md#control-groups"
SLEEP = args("/bin/sleep", "1000")
MB = 1 << 20


# Where it is.


@clause(PATH, MUST, "an absolute path is relative to the hierarchy's mount point")
def test_absolute(box: Scope, yard: Yard) -> None:
    path = f"{yard.parent}/deep/er"
    one = box(SLEEP, linux(cgroupsPath=path)).made()
    assert yard.cgroups.of(one.pid)[yard.cgroups.anywhere] == path
    one.stop().delete()
    yard.cgroups.remove(f"{yard.parent}/deep")


@clause(PATH, MAY, "a relative path is below a place of the runtime's choosing, always the same")
def test_relative(box: Scope, yard: Yard) -> None:
    name = f"wherry-conformance-relative-{os.getpid()}"
    seen = []
    for _ in range(2):
        one = box(SLEEP, linux(cgroupsPath=name)).made()
        seen.append(yard.cgroups.of(one.pid)[yard.cgroups.anywhere])
        one.stop().delete()
    assert seen[0] == seen[1]
    assert seen[0].endswith(f"/{name}")


@clause(PATH, MUST, "the same path is the same place: in every hierarchy, for one container after the other")
def test_consistent(box: Scope, yard: Yard) -> None:
    seen = []
    for _ in range(2):
        one = box(SLEEP, linux(cgroupsPath=f"{yard.parent}/same")).made()
        seen.append(yard.cgroups.of(one.pid))
        one.stop().delete()
    assert seen[0] == seen[1]


@clause(PATH, MAY, "without cgroupsPath the runtime takes a default, whose end the container has to itself")
def test_default(box: Scope, yard: Yard) -> None:
    first, second = (box(SLEEP, lambda spec: spec["linux"].pop("cgroupsPath")).made() for _ in range(2))
    places = [yard.cgroups.of(one.pid)[yard.cgroups.anywhere] for one in (first, second)]
    assert places[0] != places[1]
    assert first.id in places[0]


@clause(PATH, DEFINED, "groups that do not exist are created")
def test_created(box: Scope, yard: Yard) -> None:
    path = f"{yard.parent}/fresh"
    assert yard.cgroups.groups(path) == []
    one = box(SLEEP, linux(cgroupsPath=path)).made()
    assert yard.cgroups.groups(path) != []
    assert one.stop().delete().code == 0


@clause(PATH, MUST, "a path that leaves the hierarchy does not lead out of it: an error, or a place inside")
def test_escape(box: Scope, yard: Yard) -> None:
    one = box(SLEEP, linux(cgroupsPath=f"/../../..{yard.parent}/escape"))
    done = one.create()
    if done.code == 0:
        place = yard.cgroups.of(one.pid)[yard.cgroups.anywhere]
        assert ".." not in place
        one.stop().delete()


@clause(GROUPS, MUST, "what the group is not fit for is an error: a group that is frozen")
def test_frozen_group(box: Scope, yard: Yard) -> None:
    path = f"{yard.parent}/frozen"
    if not yard.cgroups.has("freezer") and not yard.cgroups.unified:
        pytest.skip("this machine has no freezer")
    name, frozen, thawed = (
        ("cgroup.freeze", "1", "0") if yard.cgroups.unified else ("freezer.state", "FROZEN", "THAWED")
    )
    file = yard.cgroups.file("freezer", path, name)
    file.parent.mkdir(parents=True)
    file.write_text(frozen)
    try:
        assert box(SLEEP, linux(cgroupsPath=path)).create().failed
    finally:
        file.write_text(thawed)
        yard.cgroups.remove(path)


@clause(GROUPS, MUST, "what the group is not fit for is an error: a group that has processes")
def test_group_in_use(box: Scope, yard: Yard) -> None:
    first = box(SLEEP, linux(cgroupsPath=f"{yard.parent}/used")).made()
    second = box(SLEEP, linux(cgroupsPath=f"{yard.parent}/used"))
    done = second.create()
    if done.code == 0:  # v1 only warns: a check is what a runtime may do
        assert "cgroup" in done.err
        second.stop().delete()
    assert first.status == "created"


@clause(GROUPS, DEFINED, "every process of the container is in its group")
def test_children(box: Scope, yard: Yard) -> None:
    one = box(shell("sleep 1000 & sleep 1000 & echo ready; wait")).made().started()
    one.told("ready")
    procs = yard.cgroups.file(yard.cgroups.anywhere, f"{yard.parent}/{one.id}", "cgroup.procs").read_text().split()
    assert len(procs) == 3
    assert str(one.pid) in procs


# Who owns it.

OWNER = "config-linux.md#cgroup-ownership"


def _with_users(spec: Spec) -> None:
    namespace("user")(spec)
    namespace("cgroup")(spec)
    ids = [{"containerID": 0, "hostID": 200000, "size": 65536}]
    linux(uidMappings=ids, gidMappings=ids)(spec)


def _owners(box: Scope, yard: Yard, *options: str) -> set[int]:
    """The owners of a container's groups, everywhere, when a cgroup file system is mounted with ``options``."""
    one = box(SLEEP, mounts(mount("/sys/fs/cgroup", "cgroup", "cgroup", *options)), _with_users)
    one.bundle.own(200000, 200000)
    one.made()
    return {group.stat().st_uid for group in yard.cgroups.groups(f"{yard.parent}/{one.id}")}


@clause(OWNER, SHOULD_NOT, "in v1 the group's owner is not changed")
def test_v1_owner(box: Scope, yard: Yard) -> None:
    if yard.cgroups.unified:
        pytest.skip("cgroup v1 only")
    controllers = set(yard.cgroups.v1.values())
    one = box(SLEEP, mounts(mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw")), _with_users)
    one.bundle.own(200000, 200000)
    one.made()
    groups = [group for group in yard.cgroups.groups(f"{yard.parent}/{one.id}") if group.parents[1] in controllers]
    assert {group.stat().st_uid for group in groups} == {0}


@clause(OWNER, SHOULD, "with a cgroup mount that is not ro, v2's group becomes the container user's")
def test_v2_owner(box: Scope, yard: Yard) -> None:
    if not yard.cgroups.unified:
        pytest.skip("cgroup v2 only")
    assert _owners(box, yard, "rw") == {200000}


@clause(OWNER, SHOULD_NOT, "with a cgroup mount that is ro the owner is not changed")
def test_owner_read_only(box: Scope, yard: Yard) -> None:
    assert _owners(box, yard, "ro") == {0}
