"""A container's /dev (runtime-spec, config-linux.md, Devices)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runtime.bundles import RUNTIME, Bundle, mount

pytestmark = pytest.mark.root

DEFAULTS = {"null": "1,3", "zero": "1,5", "full": "1,7", "random": "1,8", "urandom": "1,9", "tty": "5,0"}
LOOK = "stat -c '%n %F %t,%T %a %u:%g'"
CHARACTER = "character special file"


def device(path: str, kind: str = "c", major: int = 1, minor: int = 3, **further: int):
    return {"path": path, "type": kind, "major": major, "minor": minor, **further}


def test_every_container_has_the_default_devices_and_links(bundle: Bundle):
    """Whatever config.json says; they work."""
    script = (
        f"cd /dev; {LOOK} {' '.join(DEFAULTS)}; for l in fd stdin stdout stderr ptmx core; do readlink $l; done;"
        "echo x >null; head -c 2 zero | wc -c; head -c 3 urandom | wc -c; (echo x >full) 2>/dev/null || echo full"
    )
    lines = bundle.run(script).ok().lines
    assert lines[:6] == [f"{name} {CHARACTER} {number} 666 0:0" for name, number in DEFAULTS.items()]
    assert lines[6:10] == ["/proc/self/fd", *(f"/proc/self/fd/{number}" for number in range(3))]
    core = ["/proc/kcore"] if os.path.exists("/proc/kcore") else []
    assert lines[10:] == ["pts/ptmx", *core, "2", "3", "full"]


def test_devices_that_are_asked_for(bundle: Bundle):
    """All four types, mode and owner, and places outside /dev whose directories are made."""
    bundle.linux["devices"] = [
        device("/dev/one", fileMode=0o640, uid=3, gid=4),
        device("/dev/raw", "u"),
        device("/dev/disk", "b", 7, 3, fileMode=stat.S_IFBLK | 0o600),
        device("/else/where/null"),
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o620},
        device("/dev/../dev/relative"),
        device("", "c", 10, 200),
        device("/dev/ptmx", "c", 5, 2),
        device("/dev/null", fileMode=0o600),
    ]
    names = "/dev/one /dev/raw /dev/disk /else/where/null /dev/pipe /dev/relative /dev/null"
    lines = bundle.run(f"{LOOK} {names}; readlink /dev/ptmx").ok().lines
    assert lines == [
        f"/dev/one {CHARACTER} 1,3 640 3:4",
        f"/dev/raw {CHARACTER} 1,3 666 0:0",
        "/dev/disk block special file 7,3 600 0:0",
        f"/else/where/null {CHARACTER} 1,3 666 0:0",
        "/dev/pipe fifo 0,0 620 0:0",
        f"/dev/relative {CHARACTER} 1,3 666 0:0",
        f"/dev/null {CHARACTER} 1,3 600 0:0",
        "pts/ptmx",
    ]


def test_an_unknown_type_is_refused(bundle: Bundle):
    """In runc's words."""
    bundle.linux["devices"] = [device("/dev/x", "x")]
    bundle.run("true").failed('invalid device type "x"')


@pytest.mark.skipif(bool(RUNTIME), reason="runc and crun leave what is there, against the specification")
@pytest.mark.parametrize("there", ["file", "link", "other", "directory"])
@pytest.mark.parametrize("asked", [True, False])
def test_a_file_at_a_devices_place_that_is_not_the_device_is_an_error(bundle: Bundle, there, asked):
    """Runtime-spec, config-linux, devices: the runtime MUST generate an error."""
    bundle.without("/dev", "/dev/pts")
    path = bundle.rootfs / "dev/zero"
    {
        "file": path.touch,
        "link": lambda: path.symlink_to("/etc/passwd"),
        "other": lambda: os.mknod(path, stat.S_IFCHR, os.makedev(1, 3)),
        "directory": path.mkdir,
    }[there]()
    if asked:
        bundle.linux["devices"] = [device("/dev/zero", minor=5)]
    bundle.run("true").failed('"/dev/zero" exists and is not the requested device')


def test_the_device_itself_may_be_there_already(bundle: Bundle):
    """An image with a /dev of its own; what is mounted on a device's place is meant too."""
    bundle.without("/dev", "/dev/pts")
    os.mknod(bundle.rootfs / "dev/zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    (bundle.rootfs / "dev/fd").symlink_to("elsewhere")
    bundle.add(mount("/dev/random", "bind", "/dev/urandom", "bind"))
    lines = bundle.run("stat -c '%t,%T %a' /dev/zero /dev/null; stat -c %t,%T /dev/random; readlink /dev/fd").ok().lines
    assert lines == ["1,5 600", "1,3 666", "1,9", "elsewhere"]


def test_ptmx_of_the_image_is_replaced(bundle: Bundle):
    """It would lead to the host's terminals."""
    bundle.without("/dev")
    os.mknod(bundle.rootfs / "dev/ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    assert bundle.run("readlink /dev/ptmx").ok().out == "pts/ptmx\n"


def test_a_dev_that_is_bound_is_left_alone(bundle: Bundle, tmp_path: Path):
    """Nothing is made in a directory of the host's."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/own").touch()
    os.mknod(tmp_path / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    bundle.without("/dev", "/dev/pts")
    bundle.add(mount("/dev", "bind", tmp_path / "dev", "rbind"))
    bundle.linux["devices"] = [device("/dev/one")]
    assert bundle.run("ls /dev").ok().lines == ["null", "own"]
    assert sorted(path.name for path in (tmp_path / "dev").iterdir()) == ["null", "own"]


def test_a_devtmpfs_is_left_alone(bundle: Bundle):
    """It is the host's own: nothing is made or replaced there."""
    before = sorted(os.listdir("/dev"))
    status = os.lstat("/dev/ptmx")
    bundle.without("/dev", "/dev/pts")
    bundle.add(mount("/dev", "devtmpfs", "devtmpfs"))
    assert "ptmx" in bundle.run("ls /dev").ok().lines
    assert sorted(os.listdir("/dev")) == before
    assert os.lstat("/dev/ptmx").st_ino == status.st_ino


def test_a_read_only_dev_has_its_devices(bundle: Bundle):
    """They come before it is sealed."""
    bundle.mounts[1]["options"].append("ro")
    assert bundle.run("echo x >/dev/null; touch /dev/new 2>/dev/null || echo sealed").ok().out == "sealed\n"


def test_the_console_is_the_containers_terminal(bundle: Bundle):
    """With a terminal /dev/console is the program's, without there is none."""
    assert bundle.run("ls /dev/console 2>/dev/null; tty").out == "not a tty\n"
    if RUNTIME:
        return  # they want a console socket, or a terminal of their own
    bundle.terminal = True
    lines = bundle.run(
        "tty; stat -c %t /dev/console; grep -c ' /dev/console ' /proc/mounts; echo hi >/dev/console"
    ).ok()
    assert lines.lines == ["/dev/pts/0", "88", "1", "hi"]
