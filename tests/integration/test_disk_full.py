"""A full disk is an error in words, never corruption; the daemon stays up, and works again once there is room (R12)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import eventually, run
from support.daemons import Daemon, Wherryd
from support.fsck import fsck
from support.images import config_of, docker_archive, small_layer
from support.registries import Registry

pytestmark = [pytest.mark.ours, pytest.mark.root]

MEGABYTE = 1024 * 1024
DISK = 40 * MEGABYTE
FULL = "no space left on device"
PLAIN = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def small(docker_cli: str, busybox_tar: bytes) -> Iterator[Daemon]:
    """A daemon whose data root is an ext4 of 40 MB on a loop device, busybox loaded; it must end whole and clean."""
    daemon = Wherryd()
    disk = Path(daemon.root, "disk.img")
    mounted = False
    try:
        with disk.open("wb") as file:
            file.truncate(DISK)
        run("mkfs.ext4", "-q", "-F", "-m", "0", str(disk))
        os.mkdir(daemon.data_root)
        made = subprocess.run(["mount", "-o", "loop", str(disk), daemon.data_root], capture_output=True, check=False)
        if made.returncode:
            pytest.skip(f"no loop device here: {made.stderr.decode().strip()}")
        mounted = True
        daemon.start()
        daemon.docker("load", input=busybox_tar)
        yield daemon
        unfill(daemon)
        daemon.clear()
        whole(daemon)
        assert "Traceback" not in daemon.log.read_text(), "the daemon met something that it did not expect"
        daemon.stop()
        left = daemon.settled(daemon.leftovers)
        assert [line for line in left if line != f"mount {daemon.data_root}"] == []
    finally:
        if daemon.running:
            daemon.kill9()
        if mounted:
            subprocess.run(["umount", "-l", daemon.data_root], check=False)
        daemon.discard()


def fill(daemon: Daemon, leave: int = 0) -> None:
    """Let somebody else take all room but ``leave`` bytes."""
    room = os.statvfs(daemon.data_root)
    with open(f"{daemon.data_root}/filler", "wb") as file:
        left = room.f_bavail * room.f_frsize - leave
        while left > 0:
            try:
                left -= os.write(file.fileno(), bytes(min(left, MEGABYTE)))
            except OSError:
                break


def unfill(daemon: Daemon) -> None:
    Path(daemon.data_root, "filler").unlink(missing_ok=True)


def whole(daemon: Daemon) -> None:
    """Nothing is damaged, nothing half-made stays, and containers run."""

    def clean() -> bool:
        # A lease or a record may have had no room to end; anything else would be damage.
        _, findings = fsck(daemon, "--deep", "--repair")
        odd = [one for one in findings if one["Kind"] not in {"lease-stale", "snapshot-stale"} or not one["Mended"]]
        assert odd == []
        return not findings

    eventually("fsck is clean", clean)
    assert daemon.out("run", "--rm", "busybox", "echo", "fine") == "fine"


def refused(daemon: Daemon, *args: str, **options: bytes) -> str:
    """The words in which a command fails, on a daemon that lives on."""
    done = daemon.docker(*args, check=False, **options)
    assert done.returncode != 0 or "error" in done.stdout.lower(), f"{args} has found room"
    assert daemon.running
    assert daemon.api("GET", "/_ping").status == 200
    return (done.stderr + done.stdout).lower()


def test_images_do_not_fit(small: Daemon) -> None:
    """Load and import of more than there is room for: refused in words, nothing stays, a smaller one comes in."""
    before = os.statvfs(small.data_root).f_bavail
    layer = small_layer(big="x" * DISK)
    assert FULL in refused(small, "load", input=docker_archive(["big:1"], [layer]))
    assert FULL in refused(small, "import", "-", "big:2", input=layer)
    assert small.out("images", "-q", "--no-trunc").count("\n") == 0
    eventually("the room is back", lambda: abs(os.statvfs(small.data_root).f_bavail - before) < 100)
    small.docker("load", input=docker_archive(["small:1"], [small_layer(a="1")]))
    whole(small)


def test_a_pull_does_not_fit(small: Daemon) -> None:
    """Of two layers one fits: the pull is refused, nothing stays; with more room the same pull succeeds."""
    layers = [small_layer(a="a" * 2 * MEGABYTE), small_layer(b="b" * 6 * MEGABYTE)]
    with Registry(small.box) as registry:
        registry.push_image("app", "1", [], packed=[(layer, PLAIN) for layer in layers], config=config_of(layers))
        fill(small, leave=9 * MEGABYTE)
        assert FULL in refused(small, "pull", f"{registry.host}/app:1")
        assert small.out("images", "-q", "--no-trunc").count("\n") == 0
        unfill(small)
        whole(small)
        small.docker("pull", f"{registry.host}/app:1")
    assert len(small.out("images", "-q").split()) == 2


def test_a_container_fills_it(small: Daemon) -> None:
    """Its own writes fail, it is told so; what others ask is answered, and removing it gives the room back."""
    small.docker("run", "-d", "--name", "other", "busybox", "sleep", "600")
    done = small.docker("run", "--name", "greedy", "busybox", "dd", "if=/dev/zero", "of=/big", "bs=1M", check=False)
    assert FULL in done.stderr.lower()
    assert done.returncode == 1
    assert small.state("other") == "running"
    assert small.state("greedy") == "exited"
    assert small.out("exec", "other", "echo", "in") == "in"
    assert "greedy" in small.out("ps", "-a")
    assert FULL in small.docker("logs", "greedy").stderr.lower() or small.docker("logs", "greedy").stdout == ""
    small.docker("rm", "greedy")
    small.docker("rm", "-f", "other")
    whole(small)


def test_a_log_fills_it(small: Daemon) -> None:
    """A log without bounds: the container goes on, its output reaches whoever is attached, and the daemon lives."""
    fill(small, leave=6 * MEGABYTE)
    script = "seq 1 400000; echo the end"
    done = small.docker("run", "--name", "noisy", "--log-opt", "max-size=-1", "busybox", "sh", "-c", script)
    assert done.stdout.endswith("400000\nthe end\n")
    assert small.state("noisy") == "exited"
    lines = small.out("logs", "noisy").splitlines()
    assert lines[:3] == ["1", "2", "3"]
    small.docker("rm", "noisy")
    unfill(small)
    whole(small)


def test_not_a_byte_is_left(small: Daemon) -> None:
    """Create, start, tag, commit and so on succeed or are refused in words. The full disk stops no start."""
    small.docker("create", "--name", "made", "busybox", "echo", "ran")
    fill(small)
    for command in (
        ("create", "--name", "later", "busybox", "true"),
        ("start", "made"),
        ("tag", "busybox", "other:1"),
        ("volume", "create", "later"),
        ("network", "create", "later"),
        ("commit", "made", "committed:1"),
        ("load", "-i", str(_archive(small))),
    ):
        done = small.docker(*command, check=False)
        if done.returncode:
            words = done.stderr.lower()
            assert FULL in words or "disk is full" in words or "disk i/o" in words, (command, done.stderr)
        assert small.running, small.tail()
    small.docker("ps", "-a")
    small.docker("images")
    small.kill9()
    small.start()
    assert "made" in small.out("ps", "-a")
    unfill(small)
    small.restart()
    small.docker("create", "--name", "again", "busybox", "true")
    assert small.out("start", "-a", "made") == "ran"
    whole(small)


def _archive(daemon: Daemon) -> Path:
    path = Path(daemon.root, "other.tar")
    path.write_bytes(docker_archive(["loaded:1"], [small_layer(a="x" * 100_000)]))
    return path
