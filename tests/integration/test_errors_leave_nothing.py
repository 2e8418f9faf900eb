"""Whatever fails half way leaves nothing half made: no mount, cgroup, namespace, link, rule or directory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import images, leaks
from support.commands import eventually, run
from support.daemons import Daemon, Wherryd
from support.http import connect


def world(daemon: Daemon) -> dict[str, object]:
    """Everything that a container makes, counted."""
    return {
        "mounts": sorted(daemon.mounts()),
        "cgroups": sorted(leaks.container_cgroups(daemon.name)),
        "links": sorted(daemon.box.links()),
        "rules": daemon.box.run("nft", "-s", "list", "ruleset") if daemon.kind == "wherryd" else "",
        "processes": len(leaks.busy_processes(daemon.name, daemon.root)),
        "folders": sorted(os.listdir(f"{daemon.data_root}/containers")),
        "runtime": sorted(os.listdir(f"{daemon.exec_root}/containers"))
        if os.path.isdir(f"{daemon.exec_root}/containers")
        else [],
    }


def settled(daemon: Daemon) -> dict[str, object]:
    """The world once it stands still: a shim ends, and the next spare one is forked, a moment after a run."""
    found = world(daemon)
    while True:
        time.sleep(0.2)
        before, found = found, world(daemon)
        if before == found:
            return found


@pytest.fixture
def unchanged(daemon: Daemon) -> Iterator[None]:
    """The world after the test, its containers removed, is the world before it."""
    warm = daemon.docker("run", "--rm", "busybox", "true")
    assert warm.returncode == 0
    before = settled(daemon)
    yield
    daemon.clear()
    eventually("the world as it was", lambda: world(daemon) == before, within=5)


pytestmark = pytest.mark.usefixtures("unchanged")


@pytest.mark.parametrize(
    "args",
    [
        ("busybox", "no-such-program"),
        ("busybox", "/etc/passwd"),
        ("-w", "/etc/passwd", "busybox", "true"),
        ("-u", "stranger", "busybox", "true"),
        ("-v", "data:/etc/passwd/sub", "busybox", "true"),
        ("--device", "/dev/none", "busybox", "true"),
        ("--ulimit", "nofile=9000000:9000000", "busybox", "true"),
        ("--sysctl", "kernel.shmmni=none", "busybox", "true"),
        ("--network", "container:nobody", "busybox", "true"),
        ("--ip", "172.29.5.77", "busybox", "true"),
        ("--memory", "1k", "busybox", "true"),
        ("--cap-add", "FLYING", "busybox", "true"),
        ("--security-opt", "seccomp=/dev/null", "busybox", "true"),
        ("--entrypoint", "", "busybox"),
    ],
    ids=lambda args: " ".join(args)[:30],
)
def test_a_run_that_fails(daemon: Daemon, args: tuple[str, ...]) -> None:
    """With --rm even the container is gone."""
    done = daemon.docker("run", "--rm", *args, check=False)
    if args[-1] == "busybox":
        assert done.returncode in {0, 125}  # an empty entrypoint means the image's command alone
    else:
        assert done.returncode in {125, 126, 127}, done
    eventually("the container is gone", lambda: daemon.out("ps", "-aq") == "")


def test_a_failed_start_can_be_tried_again(daemon: Daemon, tmp_path: Path) -> None:
    """What failed for want of a program starts once it is there, and inspect told why it had failed."""
    daemon.docker("create", "--name", "later", "-v", f"{tmp_path}:/b", "busybox", "/b/program")
    done = daemon.docker("start", "later", check=False)
    assert done.returncode == 1
    seen = daemon.inspect("later")["State"]
    assert (seen["Status"], seen["ExitCode"]) == ("created", 127)
    assert "no such file or directory" in seen["Error"]
    (tmp_path / "program").write_text("#!/bin/sh\nexit 11\n")
    (tmp_path / "program").chmod(0o755)
    assert daemon.docker("start", "-a", "later", check=False).returncode == 11


def test_a_port_conflict(daemon: Daemon) -> None:
    """A start refused for its second port gives back the first, the address and the link."""
    daemon.docker("run", "-d", "-p", "8082:80", "busybox", "sleep", "60")
    done = daemon.docker(
        "run", "-d", "--name", "half", "-p", "8081:80", "-p", "8082:81", "busybox", "sleep", "60", check=False
    )
    assert done.returncode == 125
    daemon.docker("run", "-d", "-p", "8081:80", "busybox", "sleep", "60")


def test_a_create_that_fails(daemon: Daemon) -> None:
    """Refused creates leave no directory and no name taken."""
    for body in (
        {"Image": "no/such:image"},
        {"Image": "busybox", "HostConfig": {"Binds": ["nonsense"]}},
        {"Image": "busybox", "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"colour": "red"}}}},
        {"Image": "busybox", "HostConfig": {"Memory": 5}},
    ):
        assert daemon.api("POST", "/containers/create?name=again", body).status >= 400
    assert daemon.api("POST", "/containers/create?name=again", {"Image": "busybox"}).status == 201


def test_a_client_that_leaves_during_a_load(daemon: Daemon, busybox_layer: bytes) -> None:
    """A load cut off by its client leaves no image and no layer."""
    big = images.Tar()
    big.add("noise", os.urandom(3 << 20))
    archive = images.docker_archive(["cut-off:1"], [busybox_layer, big.bytes()])
    before = int(run("du", "-sk", daemon.data_root).stdout.split()[0])
    with connect(daemon.socket) as sock:
        head = b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n"
        sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(archive) + archive[: len(archive) - 1000])
    eventually("the pieces are gone", lambda: int(run("du", "-sk", daemon.data_root).stdout.split()[0]) < before + 1000)
    assert daemon.out("images", "-q", "cut-off") == ""


def test_a_kill_during_the_start(daemon: Daemon) -> None:
    """run and rm -f racing: in the end there is no container and no trace of one."""
    for _ in range(5):
        running = daemon.spawn("run", "--name", "racing", "busybox", "sleep", "60")
        eventually("it exists", lambda: daemon.api("GET", "/containers/racing/json").status == 200, every=0.005)
        daemon.docker("rm", "-f", "racing", check=False)
        running.kill()
        running.communicate()
        daemon.docker("rm", "-f", "racing", check=False)
    assert daemon.out("ps", "-aq") == ""


@pytest.mark.ours  # it needs a data root of a known size
def test_a_full_disk(busybox_tar: bytes, busybox_layer: bytes, tmp_path: Path) -> None:
    """No space left: the load fails and says so, leaves nothing, and what was there works on."""
    own = Wherryd()
    os.mkdir(own.data_root)
    run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", own.data_root)
    try:
        own.start()
        own.docker("load", input=busybox_tar)
        big = images.Tar()
        big.add("noise", os.urandom(30 << 20))
        for _ in range(2):
            done = own.docker("load", input=images.docker_archive(["big:1"], [busybox_layer, big.bytes()]), check=False)
            assert done.returncode == 1
            assert "no space left on device" in (done.stdout + done.stderr).lower()
            assert own.out("images", "-q", "big") == ""
        assert own.out("run", "--rm", "--network", "none", "busybox", "echo", "fine") == "fine"
        own.stop()
    finally:
        own.discard()
