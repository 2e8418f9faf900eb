"""The root file system in a user namespace: nothing there may be made or mounted that only the host's root may."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runtime.bundles import Bundle, fields, mount

pytestmark = pytest.mark.root

DEFAULTS = {"null": "1,3", "zero": "1,5", "full": "1,7", "random": "1,8", "urandom": "1,9", "tty": "5,0"}


@pytest.fixture
def inside(bundle: Bundle) -> Bundle:
    """A bundle whose ids 0 to 65535 are the host's from 100000 on."""
    bundle.in_user_namespace()
    return bundle


def test_devices_are_the_hosts_own_nodes(inside: Bundle):
    """mknod(2) is refused there, so they are bind mounts; they work."""
    look = f"cd /dev; stat -c %t,%T {' '.join(DEFAULTS)}; echo x >null; head -c 2 zero | wc -c; readlink ptmx"
    lines = inside.run(f"{look}; cat /proc/mounts").ok().lines
    assert lines[:8] == [*DEFAULTS.values(), "2", "pts/ptmx"]
    for name in DEFAULTS:
        assert fields(lines[8:], f"/dev/{name}")


def test_a_device_is_found_by_its_numbers(inside: Bundle):
    """Whatever its path in the container; a FIFO is made."""
    inside.linux["devices"] = [
        {"path": "/dev/renamed", "type": "c", "major": 1, "minor": 5},
        {"path": "/far/away", "type": "u", "major": 10, "minor": 229},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
    ]
    lines = inside.run("stat -c '%F %t,%T' /dev/renamed /far/away /dev/pipe").ok().lines
    assert lines == ["character special file 1,5", "character special file a,e5", "fifo 0,0"]


def test_a_device_that_the_host_has_not_got_is_an_error(inside: Bundle):
    """It is named."""
    inside.linux["devices"] = [{"path": "/dev/nothing", "type": "c", "major": 250, "minor": 99}]
    inside.run("true").failed('mknod "/dev/nothing": no such device')


def test_the_defaults_work(inside: Bundle):
    """Every file system of Docker's is there, and belongs to the container's root."""
    inside.add(
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        mount("/dev/shm", "tmpfs", "shm", "nosuid", "mode=1777", "size=64k"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
    )
    inside.linux["cgroupsPath"] = f"/{inside.name}"
    inside.linux["maskedPaths"] = ["/proc/keys", "/sys/firmware", "/proc/acpi"]
    inside.linux["readonlyPaths"] = ["/proc/sys", "/proc/bus"]
    lines = inside.run("stat -c %u /dev /dev/shm /dev/pts; wc -c </proc/keys; cat /proc/mounts").ok().lines
    assert lines[:4] == ["0", "0", "0", "0"]
    assert "ro" in fields(lines[4:], "/proc/sys")
    for target in ("/sys", "/sys/fs/cgroup", "/sys/fs/cgroup/pids"):
        assert "ro" in fields(lines[4:], target)


@pytest.mark.parametrize(
    ("kind", "target", "source"),
    [("network", "/sys", "sysfs"), ("ipc", "/dev/mqueue", "mqueue"), ("pid", "/proc", "proc")],
)
def test_a_file_system_of_a_namespace_that_is_not_its_own_is_the_hosts(inside: Bundle, kind, target, source):
    """Only the owner of a network, ipc or pid namespace may mount what shows it; the options hold all the same."""
    if not os.path.ismount(target):
        pytest.skip(f"nothing is mounted at {target} here")
    inside.without(target)
    inside.add(mount(target, source, source, "nosuid", "noexec", "nodev", "ro"))
    inside.namespaces = [entry for entry in inside.namespaces if entry["type"] != kind]
    lines = inside.run("cat /proc/mounts").ok().lines
    assert {"ro", "nosuid", "noexec", "nodev"} <= {*fields(lines, target)}
    assert next(line.split()[2] for line in lines if line.split()[1] == target) == source


@pytest.mark.parametrize("further", [[], ["rprivate"]])
def test_a_terminal_group_that_is_not_mapped_is_left_out(bundle: Bundle, further):
    """gid=5 of a devpts is refused where 5 is nobody."""
    bundle.in_user_namespace(size=1)
    bundle.mounts[2]["options"] += further
    assert bundle.run("stat -c %g /dev/pts/ptmx; grep -c /dev/pts /proc/mounts").ok().lines == ["0", "1"]


def test_a_tmpfs_belongs_to_whom_it_says(inside: Bundle):
    """In the container's ids; one that is not mapped is an error."""
    inside.add(mount("/t", "tmpfs", "tmpfs", "uid=7", "gid=8", "mode=700"))
    assert inside.run("stat -c '%u %g %a' /t").ok().out == "7 8 700\n"
    inside.add(mount("/u", "tmpfs", "tmpfs", "uid=4000000"))
    inside.run("true").failed('to rootfs at "/u": mount tmpfs:/u')


def test_tmpcopyup_keeps_the_containers_owners(inside: Bundle):
    """As the container sees them; a device may not be made and is left out."""
    top = inside.rootfs / "srv"
    top.mkdir()
    (top / "file").write_text("hello\n")
    (top / "file").chmod(0o640)
    os.mknod(top / "device", stat.S_IFCHR, os.makedev(1, 3))
    os.chown(top, 100_000, 100_000)
    os.chown(top / "file", 100_007, 100_008)
    os.chown(top / "device", 100_000, 100_000)
    inside.add(mount("/srv", "tmpfs", "tmpfs", "tmpcopyup"))
    assert inside.run("stat -c '%n %u %g %a' /srv/*; cat /srv/file").ok().lines == ["/srv/file 7 8 640", "hello"]


def test_a_source_that_only_the_host_may_reach(inside: Bundle, tmp_path: Path):
    """Bind sources are taken before the user namespace is entered."""
    private = tmp_path / "private"
    (private / "data").mkdir(parents=True)
    (private / "data/file").write_text("hello\n")
    private.chmod(0o700)
    inside.add(mount("/data", "bind", private / "data", "bind", "ro"))
    assert inside.run("cat /data/file").ok().out == "hello\n"


def test_a_console(inside: Bundle):
    """The terminal is the container's root's."""
    inside.terminal = True
    assert inside.run("tty; stat -c '%t %u' /dev/console; echo hi >/dev/console").ok().lines == [
        "/dev/pts/0",
        "88 0",
        "hi",
    ]


def test_read_only_everything(inside: Bundle):
    """The root, a tmpfs, a bind."""
    inside.root["readonly"] = True
    inside.add(mount("/t", "tmpfs", "tmpfs", "ro"), mount("/b", "bind", "/etc", "rbind", "rro"))
    script = "for d in / /t /b /dev; do touch $d/x && echo $d; done; cat /proc/mounts"
    (inside.rootfs / "t").mkdir()
    (inside.rootfs / "b").mkdir()
    done = inside.run(script).ok()
    lines = done.lines
    assert lines[0] == "/dev", done.err
    assert "ro" in fields(lines[1:], "/")
