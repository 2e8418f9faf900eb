"""Cgroup paths come from users (``--cgroup-parent``, ``cgroupsPath``): none leaves the hierarchy."""

from __future__ import annotations

import os.path
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.cgroups import CgroupError, Hierarchy, open_hierarchy, resolve
from wherry.linux.cgroups.paths import (
    below_mount,
    check_path,
    expand_slice,
    join_lines,
    line_for,
    own_groups,
    resolve_unit,
    unit_of,
)

hostile = st.text(alphabet=st.sampled_from("/.a\n :-"), max_size=12)
components = st.text(alphabet=st.sampled_from("abz09_"), min_size=1, max_size=6)


@pytest.mark.parametrize(
    "path",
    ["", "/", "wherry", "/a/../b", "/..", "/a//b", "/a/", "/a/./b", "/a\nb", "/a\ncpu:/..", "/a\n:/b"],
)
def test_a_path_that_could_leave_its_tree_is_refused(path: str) -> None:
    """Relative, empty, dotted and multi-line components never reach the kernel."""
    with pytest.raises(CgroupError):
        check_path(path)


@given(hostile)
def test_whatever_is_accepted_stays_below_the_root(path: str) -> None:
    """An accepted path is already in its normal form, so joining it to a mount point cannot climb."""
    try:
        accepted = check_path(path)
    except CgroupError:
        return
    for controllers in (("memory",), ("a",)):
        line = line_for(accepted, controllers)
        assert os.path.normpath(f"/sys/fs/cgroup{line}") == f"/sys/fs/cgroup{line}"


@pytest.mark.parametrize(
    ("cgroups_path", "own", "path"),
    [
        ("/a/b", "/x", "/a/b"),
        ("/a//b/./c/", "/x", "/a/b/c"),
        ("/../../a", "/x", "/a"),
        ("/a/../../b", "/x", "/b"),
        ("a/b", "/x/y", "/x/y/a/b"),
        ("../../etc/a", "/x/y", "/x/y/etc/a"),
        ("", "/x/y", "/x/y/id"),
        ("", "/", "/id"),
        ("a:b:c", "/", "/a:b:c"),
    ],
)
def test_a_path_is_where_runc_puts_it(cgroups_path: str, own: str, path: str) -> None:
    """Absolute from the top, relative and none below the caller's own; ``..`` is contained, not refused."""
    assert resolve(cgroups_path, "id", own) == path


@pytest.mark.parametrize("cgroups_path", ["/", "/..", "/a/..", "/a\nb"])
def test_the_top_and_what_is_no_name_are_refused(cgroups_path: str) -> None:
    """A container's group is its own."""
    with pytest.raises(CgroupError, match="invalid cgroup path"):
        resolve(cgroups_path, "id")


@given(hostile, st.lists(components, max_size=3))
def test_no_path_escapes(cgroups_path: str, own: list[str]) -> None:
    """Whatever is asked for: the result is below the top, and below the caller's group if it was relative."""
    base = "/" + "/".join(own)
    try:
        path = resolve(cgroups_path, "id", base)
    except CgroupError:
        return
    assert check_path(path) == path
    if not cgroups_path.startswith("/"):
        assert PurePosixPath(path).is_relative_to(base)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("system.slice", "/system.slice"),
        ("a-b.slice", "/a.slice/a-b.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", "/"),
    ],
)
def test_a_slice_is_inside_those_that_its_name_says(name: str, path: str) -> None:
    """systemd.slice(5)."""
    assert expand_slice(name) == path


@pytest.mark.parametrize("name", ["", "a", ".slice", "a--b.slice", "-a.slice", "a-.slice", "a/b.slice", "../a.slice"])
def test_what_is_no_slice_is_refused(name: str) -> None:
    """In runc's words."""
    with pytest.raises(CgroupError, match="invalid slice name: "):
        expand_slice(name)


@given(st.lists(components, min_size=1, max_size=5))
def test_every_slice_is_in_its_parent(parts: list[str]) -> None:
    """The last component is the slice itself, the one before it the slice without the last part."""
    name = "-".join(parts) + ".slice"
    path = expand_slice(name).split("/")
    assert path[-1] == name
    assert len(path) == len(parts) + 1
    assert all(inner.startswith(outer.removesuffix(".slice")) for outer, inner in pairwise(path[1:]))


@pytest.mark.parametrize(
    ("cgroups_path", "who", "path"),
    [
        ("", "root", "/system.slice/wherry-id.scope"),
        ("", "user", "/user.slice/wherry-id.scope"),
        ("system.slice:docker:1234", "root", "/system.slice/docker-1234.scope"),
        ("a-b.slice::x", "root", "/a.slice/a-b.slice/x.scope"),
        (":p:x", "root", "/system.slice/p-x.scope"),
        ("-.slice:p:x", "root", "/p-x.scope"),
        ("a.slice:p:pod.slice", "root", "/a.slice/pod.slice"),
    ],
)
def test_systemd_paths_are_units_in_slices(cgroups_path: str, who: str, path: str) -> None:
    """``slice:prefix:name``, and its defaults."""
    assert resolve_unit(cgroups_path, "id", rootless=who == "user") == path


def test_a_users_units_are_below_their_own_systemd() -> None:
    """The driver knows where that is."""
    base = "/user.slice/user-1000.slice/user@1000.service"
    path = resolve_unit("", "id", base=base, rootless=True)
    assert path == f"{base}/user.slice/wherry-id.scope"
    assert unit_of(path) == ("wherry-id.scope", "user.slice")


@pytest.mark.parametrize("cgroups_path", ["/a/b", "a:b", "a:b:c:d"])
def test_systemd_wants_three_parts(cgroups_path: str) -> None:
    """In runc's words."""
    expected = (
        f'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "{cgroups_path}" instead'
    )
    with pytest.raises(CgroupError) as refused:
        resolve_unit(cgroups_path, "id")
    assert str(refused.value) == expected


@given(hostile, hostile, hostile)
def test_no_unit_escapes(slice_name: str, prefix: str, name: str) -> None:
    """Whatever the parts are: the unit is directly in the slice that its path shows."""
    try:
        path = resolve_unit(f"{slice_name}:{prefix}:{name}", "id")
    except CgroupError:
        return
    assert check_path(path) == path
    unit, parent = unit_of(path)
    assert unit.endswith((".scope", ".slice"))
    assert path == f"{expand_slice(parent).rstrip('/')}/{unit}"


def test_own_groups_are_read_from_proc() -> None:
    """v1 by controller, v2 under no name."""
    text = "4:memory:/a\n2:cpu,cpuacct:/\n1:name=systemd:/s:1\n0::/u\n"
    assert own_groups(text) == {"memory": "/a", "cpu": "/", "cpuacct": "/", "name=systemd": "/s:1", "": "/u"}


@pytest.mark.parametrize(
    ("group", "root", "path"),
    [
        ("/a/b", "/", "/a/b"),
        ("/a/b", "/a", "/b"),
        ("/a", "/a", "/"),
        ("/x", "/a", "/"),
        ("/ab", "/a", "/"),
        ("/../x", "/", "/"),
    ],
)
def test_a_mount_may_show_only_part_of_a_tree(group: str, root: str, path: str) -> None:
    """In a container without a cgroup namespace."""
    assert below_mount(group, root) == path


def test_one_path_stands_for_different_places_on_v1() -> None:
    """Where the caller is in other groups in other trees, so is the container, as by runc."""
    path = join_lines({"cpu": "/id", "memory": "/own/id", "pids": "/id"})
    assert check_path(path) == path
    assert line_for(path, ("memory",)) == "/own/id"
    assert line_for(path, ("cpu", "cpuacct")) == line_for(path, ("pids",)) == "/id"
    assert Hierarchy("/sys/fs/cgroup/memory", ("memory",)).at(path) == "/sys/fs/cgroup/memory/own/id"
    assert join_lines({"cpu": "/id", "pids": "/id"}) == "/id"


def test_the_caller_s_own_group_is_where_no_path_leads() -> None:
    """By the machine's own trees: below us on v1, beside us on v2."""
    cgroups = open_hierarchy()
    groups = own_groups(Path("/proc/self/cgroup").read_text())
    path = cgroups.resolve("", "some-id")
    for tree in cgroups.hierarchies:
        own = groups["" if tree.unified else tree.controllers[0]]
        if cgroups.version == 2:
            own = os.path.dirname(own)
        assert tree.at(path) == f"{tree.mountpoint}{own.rstrip('/')}/some-id"
