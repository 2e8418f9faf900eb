"""Images and volumes that try to lead the runtime astray while it mounts (promises S3 and S4).

The attacker shapes the image, and in the races a volume that another container of his has too. Each docstring names the
guard: without it the test fails.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.bundles import PROC, Bundle, mount
from runtime.racer import swapping
from wherry.linux import paths

pytestmark = pytest.mark.root

RUNS = 12
"""Of whole containers in a race."""
STEPS = 400
"""Of one call in a race."""


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host's with a secret, in which nothing may appear and of which nothing may be seen."""
    path = tmp_path / "canary"
    path.mkdir()
    (path / "secret").write_text("SECRET\n")
    yield path
    assert [entry.name for entry in path.iterdir()] == ["secret"]
    assert (path / "secret").read_text() == "SECRET\n"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A directory that the attacker writes to from elsewhere."""
    path = tmp_path / "volume"
    path.mkdir()
    return path


# --- S4, and S3's mount targets: nothing is made or mounted outside the root


@pytest.mark.parametrize("link", ["absolute", "climbing"])
def test_a_link_in_the_image_leads_no_mount_to_the_host(bundle: Bundle, canary: Path, link: str):
    """CVE-2024-45310, CVE-2021-30465. Guard: ``paths.make_in`` and ``open_in`` take links as the container's."""
    (bundle.rootfs / "link").symlink_to(canary if link == "absolute" else f"../../../../../../../../../..{canary}")
    bundle.add(
        mount("/link/dir", "tmpfs", "tmpfs"),
        mount("/link/file", "bind", "/etc/hostname", "bind"),
        mount("/link", "tmpfs", "tmpfs", "tmpcopyup"),
    )
    assert bundle.run(f"ls -d {canary}; cat /link/secret 2>/dev/null || echo none").ok().lines == [str(canary), "none"]


def test_a_race_for_a_mount_target_makes_nothing_on_the_host(bundle: Bundle, canary: Path, volume: Path):
    """CVE-2024-45310, CVE-2021-30465. Guard: ``make_in`` walks by descriptor and looks no checked path up again."""
    (volume / "target").mkdir()
    (volume / "link").symlink_to(canary)
    bundle.add(mount("/volume", "bind", volume, "bind"))
    bundle.add(*(mount(f"/volume/target/{number}/deep", "tmpfs", "tmpfs") for number in range(8)))
    bundle.add(mount("/volume/target/file", "bind", "/etc/hostname", "bind"))
    with swapping(volume / "target", volume / "link"):
        for _ in range(RUNS):
            done = bundle.run(f"ls -R /volume; ls -A {canary} 2>/dev/null; true")
            assert "secret" not in done.out.split()


def test_a_race_for_a_directory_makes_nothing_on_the_host(canary: Path, volume: Path):
    """CVE-2024-45310, one call many times. Guard: ``make_in`` makes each component below the descriptor it came to."""
    (volume / "target").mkdir()
    (volume / "link").symlink_to(canary)
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY)
    try:
        with swapping(volume / "target", volume / "link"):
            for number in range(STEPS):
                fd = paths.make_in(root, f"/target/{number}/x/../y", directory=True)
                assert os.readlink(f"/proc/self/fd/{fd}").startswith(f"{volume}/")
                os.close(fd)
    finally:
        os.close(root)


@pytest.mark.parametrize("name", ["dev", "dev/pts"])
@pytest.mark.parametrize("mounted", ["mounted", ""])
def test_a_dev_link_in_the_image_makes_nothing_on_the_host(bundle: Bundle, canary: Path, name: str, mounted: str):
    """CVE-2026-41579. Guard: devices and links are made below a descriptor that ``make_in`` has walked to."""
    if not mounted:
        bundle.without("/dev", "/dev/pts")
    path = bundle.rootfs / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        path.rmdir()
    path.symlink_to(canary)
    bundle.linux["devices"] = [{"path": "/dev/pts/extra", "type": "c", "major": 1, "minor": 3}]
    bundle.linux["maskedPaths"] = ["/dev/secret", f"{canary}/secret"]
    bundle.run("ls /dev/null")


def test_a_dev_link_to_a_volume_makes_no_device_on_the_host(bundle: Bundle, volume: Path):
    """CVE-2026-41579. Guard: ``init_mount_devices._directory`` makes none where a link has led to a bind mount."""
    bundle.without("/dev", "/dev/pts")
    (bundle.rootfs / "dev").rmdir()
    (bundle.rootfs / "dev").symlink_to("/volume/below")
    (volume / "below").mkdir()
    bundle.add(mount("/volume", "bind", volume, "bind"))
    bundle.run("true").failed('a link leads from "/dev" out of the container')
    assert list((volume / "below").iterdir()) == []


# --- S3: /proc and /sys are the kernel's own


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("target", ["/tmp", "volume/x", "/proc/self", "/"])
def test_proc_and_sys_behind_a_link_are_refused(bundle: Bundle, name: str, target: str):
    """CVE-2019-19921, CVE-2023-27561. Guard: ``init_mount_target._plain_directory`` opens them with links refused."""
    path = bundle.rootfs / name
    path.rmdir()
    path.symlink_to(target)
    bundle.run("true").failed("must be mounted on ordinary directory")


@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/proc/sys/kernel", "/proc/self/attr", "/proc/1/../sys"])
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_a_link_to_proc_in_the_image_is_no_way_to_cover_it(bundle: Bundle, volume: Path, target: str, kind: str):
    """CVE-2019-16884, CVE-2025-52881. Guard: ``init_mount_target._check`` asks where the target really is."""
    (bundle.rootfs / "data").symlink_to(target)
    bundle.add(mount("/data", kind, volume, *(["bind"] if kind == "bind" else [])))
    bundle.run("true").failed("cannot be mounted because it is")


def test_a_link_to_the_root_in_the_image_is_no_way_to_cover_it(bundle: Bundle, volume: Path):
    """Guard: ``init_mount_target._check`` refuses the top of the root."""
    (bundle.rootfs / "data").symlink_to("/..")
    bundle.add(mount("/data", "bind", volume, "bind"))
    bundle.run("true").failed("on the top of rootfs")


def test_a_race_for_proc(bundle: Bundle, volume: Path):
    """CVE-2025-52881. Guard: ``init_mount_target._check`` judges the very descriptor that is mounted on."""
    (volume / "target").mkdir()
    (volume / "link").symlink_to("../proc")
    fake = bundle.directory / "fake"
    (fake / "self").mkdir(parents=True)
    bundle.add(mount("/volume", "bind", volume, "bind"))
    bundle.add(*(mount("/volume/target", "bind", fake, "bind") for _ in range(8)))
    with swapping(volume / "target", volume / "link"):
        for _ in range(RUNS):
            done = bundle.run("grep -c . /proc/self/comm; grep -c ' /proc ' /proc/mounts")
            assert done.code == 1 or done.lines == ["1", "1"]


# --- S3: masks


def masked(bundle: Bundle, dev: Path) -> None:
    """A container whose /dev is ``dev``, and which may not read /proc/keys and /proc/timer_list."""
    bundle.without("/dev", "/dev/pts")
    bundle.add(mount("/dev", "bind", dev, "bind"))
    bundle.linux["maskedPaths"] = ["/proc/keys", "/proc/timer_list"]


SHOW = "stat -c '%F %t,%T' /proc/keys /proc/timer_list; cat /proc/keys"
MASK = ["character special file 1,3"] * 2


@pytest.mark.parametrize("fake", ["file", "link", "zero"])
def test_a_null_that_is_none_masks_nothing(bundle: Bundle, tmp_path: Path, fake: str):
    """CVE-2025-31133. Guard: ``init_mount_seal.open_null`` looks at the kind and the numbers of what it has opened."""
    dev = tmp_path / "dev"
    dev.mkdir()
    {
        "file": lambda: (dev / "null").write_text("attack"),
        "link": lambda: (dev / "null").symlink_to("/proc/self/status"),
        "zero": lambda: os.mknod(dev / "null", stat.S_IFCHR | 0o666, os.makedev(1, 5)),
    }[fake]()
    masked(bundle, dev)
    assert bundle.run(SHOW).ok().lines == MASK


def test_a_race_for_null(bundle: Bundle, tmp_path: Path):
    """CVE-2025-31133. Guard: the descriptor that was judged is the one that is bound, not its path."""
    dev = tmp_path / "dev"
    dev.mkdir()
    os.mknod(dev / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (dev / "fake").write_text("attack")
    masked(bundle, dev)
    bundle.linux["maskedPaths"] += [f"/proc/{number}" for number in (1, 2)]
    with swapping(dev / "null", dev / "fake"):
        for _ in range(RUNS):
            assert bundle.run(SHOW).ok().lines == MASK


def test_an_image_that_brings_a_proc_of_its_own(bundle: Bundle):
    """CVE-2025-52881, CVE-2025-31133. Guard: ``init_mount_seal._existing`` asks the file system's kind by descriptor.

    Below a fake /proc a mask would cover what the attacker's link chose; here that is a file the container needs.
    """
    bundle.without("/proc")
    (bundle.rootfs / "proc/keys").symlink_to("/etc/passwd")
    (bundle.rootfs / "proc/sys").symlink_to("/etc")
    bundle.linux |= {"maskedPaths": ["/proc/keys"], "readonlyPaths": ["/proc/sys"]}
    assert bundle.run("head -c 4 /etc/passwd; echo; touch /etc/new && ls /etc/new").ok().lines == ["root", "/etc/new"]


def test_a_mask_that_a_mounted_proc_turns_away_is_an_error(bundle: Bundle, tmp_path: Path):
    """Guard: ``init_mount_seal._existing``: what was to be hidden and cannot be found is no reason to go on."""
    (tmp_path / "keys").write_text("x")
    bundle.mounts = [dict(PROC), mount("/sys", "sysfs", "sysfs"), *bundle.mounts[1:3]]
    bundle.add(mount("/sys/firmware", "tmpfs", "tmpfs"), mount("/sys/kernel", "bind", tmp_path, "bind"))
    bundle.linux["maskedPaths"] = ["/sys/kernel/keys"]
    bundle.run("true").failed("/sys/kernel/keys is not the kernel's own file")


# --- S3: the console


@pytest.mark.parametrize("target", ["/etc/passwd", "/proc/keys", "../proc/sys/kernel/core_pattern", "/missing"])
def test_a_console_that_is_a_link_is_refused(bundle: Bundle, target: str):
    """CVE-2025-52565. Guard: ``Root.bind_console`` opens /dev/console without following it and looks at its kind."""
    bundle.without("/dev", "/dev/pts")
    bundle.add(mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666"))
    (bundle.rootfs / "dev/console").symlink_to(target)
    bundle.terminal = True
    bundle.run("true").failed("error mounting the terminal on /dev/console")
    assert not (bundle.rootfs / "missing").exists()


# --- tmpcopyup


def test_a_race_for_a_file_that_is_copied_up(bundle: Bundle, canary: Path, volume: Path):
    """Guard: ``init_mount_copy`` opens files and directories with O_NOFOLLOW, whatever they were a moment ago."""
    (volume / "top").mkdir()
    for number in range(60):
        (volume / f"top/{number}").write_text("harmless\n")
    (volume / "link").symlink_to(canary / "secret")
    bundle.add(mount("/volume", "bind", volume, "bind"), mount("/volume/top", "tmpfs", "tmpfs", "tmpcopyup"))
    with swapping(volume / "top/30", volume / "link"):
        for _ in range(RUNS):
            done = bundle.run("cat /volume/top/* 2>/dev/null; true")
            assert "SECRET" not in done.out
            assert done.code == 0 or "tmpcopyup: failed to copy /volume/top" in done.err


def test_a_race_for_a_directory_that_is_copied_up(bundle: Bundle, canary: Path, volume: Path):
    """Guard: as above, and the covered directory itself is read by the descriptor that is mounted on."""
    (volume / "top/inner").mkdir(parents=True)
    (volume / "link").symlink_to(canary)
    bundle.add(mount("/volume", "bind", volume, "bind"), mount("/volume/top", "tmpfs", "tmpfs", "tmpcopyup"))
    with swapping(volume / "top/inner", volume / "link"):
        for _ in range(RUNS):
            done = bundle.run("cat /volume/top/inner/* 2>/dev/null; true")
            assert "SECRET" not in done.out
            assert done.code == 0 or "tmpcopyup: failed to copy /volume/top" in done.err
