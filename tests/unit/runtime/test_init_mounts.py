from __future__ import annotations

import pytest

from wherry.linux.mounts import (
    MOUNT_ATTR_ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_RDONLY,
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SLAVE,
)
from wherry.runtime.init_mounts import BIND, CGROUP, FILESYSTEM, parse
from wherry.runtime.init_root import overlay_options


def entry(target="/t", kind="tmpfs", *options, source="s"):
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def test_options_of_a_file_system_become_flags_and_the_rest_its_data():
    """Words that are not the VFS's belong to the file system."""
    mount = parse(entry("/dev", "tmpfs", "nosuid", "nodev", "mode=755", "size=64k", "ro", "rw"))
    assert (mount.kind, mount.flags, mount.data) == (FILESYSTEM, MS_NOSUID | MS_NODEV, ["mode=755", "size=64k"])


@pytest.mark.parametrize(("kind", "options"), [("bind", []), ("", ["bind"]), ("none", ["rbind"])])
def test_a_bind_is_known_by_type_or_option(kind, options):
    """As the specification has it."""
    assert parse(entry("/t", kind, *options)).kind == BIND


def test_attributes_of_a_bind():
    """The later word wins, access times are one field, r-words are recursive."""
    mount = parse(entry("/t", "bind", "rbind", "rw", "ro", "noatime", "rnoexec", "rslave", "private"))
    assert mount.attributes == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME, MOUNT_ATTR_ATIME)
    assert mount.recursive_attributes == (MOUNT_ATTR_NOEXEC, 0)
    assert mount.propagation == [MS_SLAVE | MS_REC, MS_PRIVATE]
    assert parse(entry("/t", "bind", "ro", "rw")).attributes == (0, MOUNT_ATTR_RDONLY)


def test_both_cgroup_types_are_one_kind():
    """The machine decides which version it is."""
    assert {parse(entry("/c", kind, "ro")).kind for kind in ("cgroup", "cgroup2")} == {CGROUP}
    assert parse(entry("/c", "cgroup", "ro")).flags == MS_RDONLY


@pytest.mark.parametrize(
    ("path", "cleaned"), [("/a/../b", "/b"), ("a//b/.", "/a/b"), ("/../../x", "/x"), ("/a/b/../..//c", "/c")]
)
def test_targets_are_cleaned(path, cleaned):
    """Nothing climbs above the root."""
    assert parse(entry(path)).target == cleaned


@pytest.mark.parametrize("path", ["/proc/self/x", "/proc/sys/kernel", "/x/../proc/1", "/", "/.."])
def test_targets_that_would_redirect_the_runtime_are_refused(path):
    """CVE-2021-30465 and its kin: in /proc only what lxcfs puts there, and never the root."""
    with pytest.raises(ValueError, match=r"cannot be mounted|not allowed"):
        parse(entry(path, "bind"))


@pytest.mark.parametrize("path", ["/proc", "/proc/cpuinfo", "/proc/net/dev", "/process/x"])
def test_targets_that_are_fine(path):
    """Files of /proc that are commonly faked."""
    assert parse(entry(path, "bind")).target == path


def test_names_of_layers_are_escaped():
    """A colon separates layers, a comma options."""
    options = overlay_options(["a:b", "c,d"], "u\\v", "w")
    assert options == "lowerdir=a\\:b:c\\,d,upperdir=u\\\\v,workdir=w"
