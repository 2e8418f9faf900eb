"""Which hierarchies a machine has, from its mountinfo."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.linux.cgroups import CgroupError, open_hierarchy
from wherry.linux.cgroups.detect import parse_mountinfo

V1_AND_V2 = """\
21 1 0:19 / /proc rw - proc proc rw
30 1 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
31 1 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
32 1 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
33 1 0:26 /docker/x /mnt/with\\040space rw - cgroup cgroup rw,cpu,cpuacct
"""
V2 = "30 1 0:26 / {root} rw - cgroup2 cgroup2 rw\n"


def test_both_side_by_side_count_as_v1(tmp_path: Path) -> None:
    """A hybrid machine limits by its v1 trees, and its v2 tree is left alone."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(V1_AND_V2)
    cgroups = open_hierarchy(str(mountinfo))
    assert cgroups.version == 1
    assert cgroups.controllers == {"cpu", "cpuacct", "name=systemd"}
    assert [tree.mountpoint for tree in cgroups.hierarchies] == ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/systemd"]


def test_only_the_first_mount_of_a_tree_counts() -> None:
    """A bind mount of part of a tree, as inside a container, does not hide the tree."""
    mounts = [tree.mountpoint for tree in parse_mountinfo(V1_AND_V2)]
    assert "/mnt/with space" not in mounts


def test_a_unified_machine_is_v2(tmp_path: Path) -> None:
    """The controllers are those that the root of the tree offers."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(V2.format(root=tmp_path))
    cgroups = open_hierarchy(str(mountinfo))
    assert (cgroups.version, cgroups.controllers) == (2, {"cpu", "memory", "pids"})


def test_no_cgroups_is_said(tmp_path: Path) -> None:
    """A machine without any is an error, not an empty success."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("21 1 0:19 / /proc rw - proc proc rw\n")
    with pytest.raises(CgroupError, match="no cgroup file system"):
        open_hierarchy(str(mountinfo))
