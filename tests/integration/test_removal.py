"""R5 (moby#22312, #27381: "removal in progress", device busy): a removal never waits for who holds a mount, and ends.

Removing the guards makes these fail: the root mounted where only the container's own mount namespace has it
(``runtime/init_layers``), and record and snapshot forgotten in one transaction (``engine/containers/remove``).
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.commands import eventually
from support.daemons import Daemon

pytestmark = [pytest.mark.root, pytest.mark.net]


@contextmanager
def holder(pid: int, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the machine in the mount namespace of ``pid``, which it keeps alive."""
    process = subprocess.Popen(
        ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "--", "/bin/sh", "-c", f"{script}; echo held; exec sleep 600"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    "script",
    ["cd /", "cd /bin", "exec 3< /bin/busybox", "exec 3> /written; echo more >&3", "mkdir -p /copy"],
    ids=["root", "directory", "open file", "written file", "touched"],
)
def test_a_held_root_does_not_hold_the_removal(daemon: Daemon, script: str) -> None:
    daemon.docker("run", "-d", "--name", "held", "busybox", "sleep", "600")
    with holder(daemon.inspect("held")["State"]["Pid"], script):
        daemon.docker("rm", "-f", "held", timeout=10)
        assert daemon.out("ps", "-aq") == ""
        assert daemon.out("run", "--name", "held", "busybox", "echo", "again") == "again"
        daemon.docker("rm", "held")


@pytest.mark.ours
def test_nothing_is_left_on_disk_once_it_is_let_go(daemon: Daemon) -> None:
    before = _snapshots(daemon)
    daemon.docker("run", "-d", "--name", "held", "busybox", "sleep", "600")
    with holder(daemon.inspect("held")["State"]["Pid"], "cd /bin"):
        daemon.docker("rm", "-f", "held")
    eventually("its files are gone", lambda: _snapshots(daemon) <= before + 1, within=5)


def test_a_volume_that_is_held_stays_usable(daemon: Daemon) -> None:
    script = "echo x > /data/f; sleep 600"
    daemon.docker("run", "-d", "--name", "held", "-v", "data:/data", "busybox", "sh", "-c", script)
    read = ("exec", "held", "cat", "/data/f")
    eventually("the file", lambda: daemon.docker(*read, check=False).stdout == "x\n", within=5)
    with holder(daemon.inspect("held")["State"]["Pid"], "cd /data"):
        daemon.docker("rm", "-f", "held")
        daemon.docker("volume", "rm", "data")
        assert daemon.out("volume", "ls", "-q") == ""


@pytest.mark.ours
def test_a_removal_is_finished_after_any_crash(own_daemon: Daemon) -> None:
    """The daemon is killed at random moments while containers are removed: each is there, or gone with all it had."""
    daemon = own_daemon
    generator = random.Random(5)
    for _ in range(4):
        names = [f"crash{number}" for number in range(6)]
        for name in names:
            daemon.docker("create", "--name", name, "-v", "/anonymous", "busybox", "true")

        def remove() -> None:
            daemon.docker("rm", "-v", *names, check=False)  # noqa: B023  joined within the round

        removing = threading.Thread(target=remove)
        removing.start()
        time.sleep(0.02 + generator.random() * 0.12)
        daemon.kill9()
        removing.join()
        daemon.start()
        left = daemon.out("ps", "-a", "--format", "{{.Names}}").split()
        if left:
            daemon.docker("rm", "-v", *left)
        assert daemon.out("ps", "-aq") == ""
        assert daemon.out("volume", "ls", "-q") == ""


def _snapshots(daemon: Daemon) -> int:
    return sum(1 for entry in Path(daemon.data_root, "snapshots").iterdir() if entry.name.isdecimal())
