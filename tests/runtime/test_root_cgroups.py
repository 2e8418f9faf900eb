"""What a container sees at /sys/fs/cgroup: its own groups, on v1 and on v2, with and without namespaces."""

from __future__ import annotations

import os

import pytest

from runtime.bundles import RUNTIME, Bundle, fields, mount
from wherry.linux.cgroups import open_hierarchy

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(RUNTIME), reason="the options are ours")]

UNIFIED = "/sys/fs/cgroup/unified"
TARGET = "/sys/fs/cgroup"


@pytest.fixture
def limited(bundle: Bundle) -> Bundle:
    """A bundle with a group of its own, and a view of it."""
    bundle.add(mount(TARGET, "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"))
    bundle.linux["cgroupsPath"] = f"/{bundle.name}"
    return bundle


@pytest.mark.parametrize("user_namespace", ["", "user"])
def test_v1_shows_a_directory_for_each_hierarchy(limited: Bundle, user_namespace: str):
    """With the container's own group in it, all read-only, and links for hierarchies of several controllers."""
    hierarchies = open_hierarchy().hierarchies
    if hierarchies[0].unified:
        pytest.skip("v2 only")
    if user_namespace:
        limited.in_user_namespace()
    names = [hierarchy.name for hierarchy in hierarchies]
    script = (
        f"cd {TARGET}; for n in {' '.join(names)}; do head -1 $n/cgroup.procs; done; cat /proc/mounts; touch x y/z 2>&1"
    )
    lines = limited.run(script).lines
    assert lines[: len(names)] == ["1"] * len(names)
    assert "touch: x: Read-only file system" in lines
    for name in names:
        assert "ro" in fields(lines[len(names) : -2], f"{TARGET}/{name}")


@pytest.mark.skipif(not os.path.isdir(UNIFIED), reason="no v2 hierarchy of its own here")
@pytest.mark.parametrize("own", [True, False])
def test_v2_shows_the_group_or_with_the_hosts_namespace_the_tree(limited: Bundle, own):
    """/proc/self/cgroup names a directory that is there either way."""
    if not own:
        limited.namespaces = [entry for entry in limited.namespaces if entry["type"] != "cgroup"]
    script = (
        "path=$(grep ^0: /proc/self/cgroup | cut -d: -f3-); echo $path;"
        f"grep -cx 1 {TARGET}$path/cgroup.procs; mkdir {TARGET}/x 2>&1"
    )
    lines = limited.run(script, "--unified").lines
    assert lines == [
        "/" if own else f"/{limited.name}",
        "1",
        f"mkdir: can't create directory '{TARGET}/x': Read-only file system",
    ]


@pytest.mark.parametrize("own", [True, False])
def test_without_a_group_nothing_of_the_hosts_can_be_written(limited: Bundle, own):
    """CVE-2023-25809: in a user namespace without a delegated group ours must not be shown writable."""
    limited.in_user_namespace()
    limited.mounts[-1]["options"].remove("ro")
    del limited.linux["cgroupsPath"]
    if not own:
        limited.namespaces = [entry for entry in limited.namespaces if entry["type"] != "cgroup"]
    done = limited.run(
        f"mkdir {TARGET}/x 2>/dev/null && echo made; ls {TARGET} | wc -l; echo 1 >{TARGET}/cgroup.procs"
    ).lines
    assert "made" not in done
    if not own:
        assert done[0] == "0"
