"""S3: what an image or a shared volume holds leads no mount, mask, device or write of the runtime's elsewhere.

By the docker CLI here, and by ``wherry-oci``; each step of the runtime's own library is in runtime/test_root_attacks,
which has races of every kind.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oci.yard import Oci, Yard
from runtime.racer import swapping
from security.attack import NO_NETWORK, loaded
from support import images
from support.daemons import Daemon

pytestmark = pytest.mark.root

RACE = 2.5
"""Seconds of a race."""
CLIMB = "../../../../../../.."


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of the host's with a file; nothing appears in it, nothing is changed, nothing is seen."""
    path = tmp_path_factory.mktemp("canary")
    (path / "secret").write_text("SECRET\n")
    before = (path / "secret").stat()
    yield path
    assert [entry.name for entry in path.iterdir()] == ["secret"]
    after = (path / "secret").stat()
    assert (path / "secret").read_text() == "SECRET\n"
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (before.st_mode, before.st_uid, before.st_mtime_ns)


def covering(name: str, target: str) -> images.Tar:
    """A layer in which ``name`` is a link, whatever it was below."""
    layer = images.Tar()
    folder, _, last = name.rpartition("/")
    layer.add(f"{folder}/.wh.{last}".lstrip("/"))
    layer.link(name, target)
    return layer


# --- the docker CLI


@pytest.mark.parametrize("climb", ["", CLIMB], ids=["absolute", "climbing"])
def test_files_of_the_engine_behind_a_link(daemon: Daemon, busybox_layer: bytes, canary: Path, climb: str) -> None:
    """CVE-2021-30465: the image's /etc/hosts is a link to a file of the host's: that is neither mounted on nor made.

    Guard: ``paths.open_in`` and ``make_in`` take links as the container's. Seen to fail without RESOLVE_IN_ROOT in the
    one and ``os.makedirs`` in place of the other.
    """
    names = ("hosts", "hostname", "resolv.conf")
    layers = [covering(f"etc/{name}", f"{climb}{canary}/{name}") for name in names]
    with loaded(daemon, busybox_layer, *layers) as image:
        show = f"cat /etc/hosts /etc/hostname; ls {canary}; cat {canary}/secret"
        done = daemon.docker("run", "--rm", *NO_NETWORK, "-h", "inside", image, "sh", "-c", show, check=False)
        assert "SECRET" not in done.stdout


@pytest.mark.parametrize("path", ["/proc", "/proc/self/attr", "/proc/sys", "/sys/../proc", "/", "/dev/../proc/1"])
def test_an_image_that_declares_a_volume_over_proc(daemon: Daemon, busybox_layer: bytes, path: str) -> None:
    """CVE-2019-16884, CVE-2025-52881: VOLUME /proc and the like are refused, or /proc is the kernel's all the same.

    Guard: ``init_mounts._check`` and ``init_mount_target._check``. Seen to fail without both.
    """
    layer = images.Tar()
    layer.folder("proc/self/attr")
    layer.add("proc/self/attr/exec", b"fake\n")
    with loaded(daemon, busybox_layer, layer, Volumes={path: {}}) as image:
        show = "stat -f -c %T /proc /proc/self/attr /proc/sys | sort -u; grep -c Seccomp: /proc/self/status"
        done = daemon.docker("run", "--rm", *NO_NETWORK, image, "sh", "-c", show, check=False)
        assert done.returncode != 0 or done.stdout.split() == ["proc", "1"], done
        assert done.returncode == 0 or "mount" in done.stderr or "volume" in done.stderr
        daemon.clear()


def test_a_volume_over_a_link_to_proc(daemon: Daemon, busybox_layer: bytes) -> None:
    """CVE-2025-52881, CVE-2019-19921: the image's volume /data is a link to /proc.

    Guard: ``init_mount_target._check`` asks where the target really is. Seen to fail without.
    """
    for target in ("/proc", "proc/self", "/proc/sys/kernel"):
        layer = images.Tar()
        layer.link("data", target)
        with loaded(daemon, busybox_layer, layer, Volumes={"/data": {}}) as image:
            done = daemon.docker("run", "--rm", *NO_NETWORK, image, "true", check=False)
            assert done.returncode != 0
            assert "/proc" in done.stderr
            daemon.clear()


def test_a_volume_is_not_filled_from_the_host(daemon: Daemon, busybox_layer: bytes, canary: Path) -> None:
    """Kin of CVE-2022-23648: the place that a volume is filled from is a link to the host, as is what is in it.

    Guard: ``mount_points._populate`` opens it with ``paths.open_in``, ``populate`` follows no link. Seen to fail
    without RESOLVE_IN_ROOT.
    """
    layer = images.Tar()
    layer.link("data", f"{CLIMB}{canary}")
    layer.folder("more")
    layer.link("more/file", f"{CLIMB}{canary}/secret")
    layer.link("more/folder", f"{CLIMB}{canary}")
    with loaded(daemon, busybox_layer, layer, Volumes={"/data": {}, "/more": {}}) as image:
        show = "cat /data/* /more/file /more/folder/*; true"
        assert daemon.docker("run", "--rm", *NO_NETWORK, image, "sh", "-c", show).stdout == ""


@pytest.mark.parametrize("name", ["dev", "dev/console", "dev/null", "dev/pts", "dev/ptmx"])
def test_devices_behind_a_link(daemon: Daemon, busybox_layer: bytes, canary: Path, name: str) -> None:
    """CVE-2026-41579, CVE-2025-52565, CVE-2025-31133: /dev or what is in it is a link, and a terminal is asked for.

    Guard: /dev is mounted by descriptor (``init_mount_target``), devices and the console are made below it
    (``init_mount_devices``, ``Root.bind_console``). No single one of them is missed here, as Docker's /dev is new: they
    are by the bundles below, and one by one in runtime/test_root_attacks.
    """
    with loaded(daemon, busybox_layer, covering(name, f"{CLIMB}{canary}/secret")) as image:
        show = "stat -c '%t,%T' /dev/null; cat /proc/keys /dev/null"
        done = daemon.docker("run", "--rm", "-t", *NO_NETWORK, image, "sh", "-c", show, check=False)
        assert "SECRET" not in done.stdout
        if done.returncode == 0:
            assert done.stdout.split() == ["1,3"]


def test_a_race_on_a_shared_volume(daemon: Daemon, canary: Path) -> None:
    """CVE-2021-30465: whoever shares the volume swaps the target of another mount for a link to the host.

    Guard: ``paths.make_in`` walks by descriptor, ``move_mount`` takes a descriptor. Seen to fail with ``os.makedirs``
    of the path below the root in its place.
    """
    daemon.docker("volume", "create", "shared")
    data = Path(_mountpoint(daemon, "shared"))
    (data / "target").mkdir()
    (data / "link").symlink_to(canary)
    show = f"ls /v/target /v/link; ls {canary}; cat /v/target/secret /v/link/secret; true"
    end = time.monotonic() + RACE
    with swapping(data / "target", data / "link"):
        while time.monotonic() < end:
            volumes = ("-v", "shared:/v", "-v", "inner:/v/target/deep/er", "--tmpfs", "/v/target/other")
            done = daemon.docker("run", "--rm", *NO_NETWORK, *volumes, "busybox", "sh", "-c", show, check=False)
            assert "secret" not in done.stdout
            assert "SECRET" not in done.stdout


def _mountpoint(daemon: Daemon, volume: str) -> str:
    return daemon.out("volume", "inspect", "-f", "{{.Mountpoint}}", volume)


# --- the command: one bundle for each

Config = dict[str, Any]


def _proc_link(rootfs: Path, canary: Path, config: Config) -> None:
    (rootfs / "proc").rmdir()
    (rootfs / "proc").symlink_to(canary)


def _dev_link(rootfs: Path, canary: Path, config: Config) -> None:
    (rootfs / "dev").rmdir()
    (rootfs / "dev").symlink_to(canary)
    config["mounts"] = config["mounts"][:1]


def _console_link(rootfs: Path, canary: Path, config: Config) -> None:
    config["mounts"] = [config["mounts"][0], config["mounts"][2]]
    (rootfs / "dev/pts").mkdir()
    (rootfs / "dev/console").symlink_to(canary / "secret")
    config["process"]["terminal"] = True


def _fake_null(rootfs: Path, canary: Path, config: Config) -> None:
    dev = rootfs.parent / "dev"
    dev.mkdir()
    (dev / "null").write_text("keyring of the attacker's\n")
    bind = {"destination": "/dev", "type": "bind", "source": str(dev), "options": ["bind"]}
    config["mounts"] = [config["mounts"][0], bind]


def _target_link(rootfs: Path, canary: Path, config: Config) -> None:
    (rootfs / "data").symlink_to(canary)
    (rootfs / "file").symlink_to(canary / "made")
    config["mounts"] += [
        {"destination": "/data/dir", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]},
    ]


def _proc_target(rootfs: Path, canary: Path, config: Config) -> None:
    (rootfs / "data").symlink_to("/proc/self")
    config["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "tmpfs"})


def _fake_sysctl(rootfs: Path, canary: Path, config: Config) -> None:
    config["mounts"] = config["mounts"][1:]
    (rootfs / "proc/sys/net/ipv4").mkdir(parents=True)
    (rootfs / "proc/sys/net/ipv4/ip_forward").symlink_to("/etc/passwd")
    config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}


@pytest.mark.parametrize(
    "arrange",
    [_proc_link, _dev_link, _console_link, _fake_null, _target_link, _proc_target, _fake_sysctl],
    ids=[
        "CVE-2019-19921,CVE-2023-27561",
        "CVE-2026-41579",
        "CVE-2025-52565",
        "CVE-2025-31133",
        "CVE-2021-30465",
        "CVE-2019-16884",
        "CVE-2025-52881",
    ],
)
def test_a_bundle_for_each(yard: Yard, oci: Oci, canary: Path, arrange: Callable[[Path, Path, Config], None]) -> None:
    """The id says which. Whatever becomes of the container, it has seen and changed nothing.

    Guards, each seen to be missed by its own: ``paths.make_in``; ``devices._directory``; ``Root.bind_console``'s look
    at what it mounts on; ``init_mount_seal.open_null``'s; ``init_mount_target._check``; for the last,
    ``init_container._set_sysctls`` is done while /proc is the host's.
    """
    rootfs = yard.path / "attack"
    subprocess.run(["cp", "-a", yard.rootfs, rootfs], check=True)
    show = f"cat {canary}/secret /dev/console; head -c 5 /etc/passwd; cat /proc/keys; ls /proc/self/root/bin/sh"
    config = yard.config("sh", "-c", f"({show}) </dev/null 2>&1 | grep -v 'No such'; true")
    config["root"] = {"path": str(rootfs)}
    config["linux"]["maskedPaths"] = ["/proc/keys"]
    arrange(rootfs, canary, config)
    passwd = (rootfs / "etc/passwd").read_text()
    if config["process"]["terminal"]:
        with socket.socket(socket.AF_UNIX) as console:
            console.bind(str(yard.path / "console"))
            console.listen()
            done = oci.quiet("run", "-d", "--console-socket", yard.path / "console", "-b", yard.bundle(config), "box")
        assert "error mounting the terminal on /dev/console" in done.message
    else:
        done = oci("run", "-b", yard.bundle(config), "box")
        assert "SECRET" not in done.out + done.err
        assert done.code == 0 or done.message
        assert "keyring" not in done.out
    assert (rootfs / "etc/passwd").read_text() == passwd
    assert not os.path.lexists(canary / "made")
