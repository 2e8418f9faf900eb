"""The last step: the container's root becomes the root, and the host's tree is out of reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.bundles import Bundle, mount
from runtime.lab import run

pytestmark = pytest.mark.root


def test_only_the_containers_mounts_are_there(bundle: Bundle):
    """The old root is gone from the namespace."""
    lines = bundle.run("cut -d' ' -f5 /proc/self/mountinfo; cat /proc/mounts | wc -l").ok().lines
    assert lines[0] == "/"
    assert {*lines[1:-1]} == {"/proc", "/dev", "/dev/pts", "/sys"}


@pytest.mark.parametrize("user_namespace", ["", "user"])
def test_without_pivot_root_it_is_a_chroot(bundle: Bundle, user_namespace: str):
    """--no-pivot, for an initramfs: it works, and the host's /proc and /sys are not left mounted below."""
    if user_namespace:
        bundle.in_user_namespace()
    done = bundle.run("ls -d /bin/busybox /proc/1; cat /proc/self/mountinfo; pwd; ls ../..", "--no-pivot").ok()
    assert done.lines[:2] == ["/bin/busybox", "/proc/1"]
    assert [line.split()[4] for line in done.lines if " - proc " in line] == ["/proc"]
    assert "rootfs" not in done.lines


def test_a_root_on_a_shared_mount(bundle: Bundle):
    """pivot_root(2) refuses shared mounts: it is not one by then, and nothing of ours reaches the host."""
    run("mount", "--bind", bundle.directory, bundle.directory)
    run("mount", "--make-shared", bundle.directory)
    try:
        bundle.add(mount("/new", "tmpfs", "tmpfs"))
        assert bundle.run("ls -d /new").ok().out == "/new\n"
        assert str(bundle.rootfs) not in Path("/proc/self/mountinfo").read_text()
    finally:
        run("umount", bundle.directory)


@pytest.mark.parametrize(
    ("word", "field"),
    [
        ("", ""),
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ],
)
def test_propagation_of_the_root(bundle: Bundle, word, field):
    """linux.rootfsPropagation; the r-words concern all of the container's mounts."""
    bundle.linux["rootfsPropagation"] = word
    lines = bundle.run("cat /proc/self/mountinfo").ok().lines
    kinds = {line.split()[4]: line.split()[6].split(":")[0] for line in lines}
    assert kinds["/"] == (field or "-")
    assert kinds["/dev"] == (field if word.startswith("r") and field else "-")


def test_a_root_that_is_a_slave_sees_what_the_host_mounts(bundle: Bundle):
    """linux.rootfsPropagation slave: of a root on a shared mount."""
    run("mount", "--bind", bundle.directory, bundle.directory)
    run("mount", "--make-shared", bundle.directory)
    try:
        bundle.linux["rootfsPropagation"] = "rslave"
        lines = bundle.run("cat /proc/self/mountinfo").ok().lines
    finally:
        run("umount", bundle.directory)
    assert lines[0].split()[6].startswith("master:")


def test_an_unknown_propagation_is_refused(bundle: Bundle):
    """In runc's words."""
    bundle.linux["rootfsPropagation"] = "bogus"
    bundle.run("true").failed("rootfsPropagation=bogus is not supported")


def test_a_read_only_root(bundle: Bundle):
    """root.readonly: the top, not what is mounted in it."""
    bundle.root["readonly"] = True
    bundle.add(mount("/t", "tmpfs", "tmpfs"))
    (bundle.rootfs / "t").mkdir()
    assert bundle.run("for d in / /etc /t; do touch $d/x 2>/dev/null && echo $d; done").out == "/t\n"
