"""Namespaces shared with the host and with other containers: --ipc, --pid, --uts, --cgroupns, and shared memory."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from support.daemons import Daemon

NONE = ("--network", "none")


def sleeping(daemon: Daemon, *args: str) -> str:
    return daemon.out("run", "-d", *NONE, *args, "busybox", "sleep", "300")


def quick(daemon: Daemon, *args: str) -> str:
    return daemon.docker("run", "--rm", *NONE, *args).stdout


def refused(daemon: Daemon, *args: str) -> str:
    done = daemon.docker("run", "--rm", *args, "busybox", "true", check=False)
    assert done.returncode == 125, done.stdout
    return done.stderr


# --- ipc


def test_two_containers_share_memory(daemon: Daemon) -> None:
    """What one writes to /dev/shm the other reads, in one IPC namespace; also over a third that joins the second."""
    one = sleeping(daemon, "--ipc", "shareable", "--shm-size", "5m")
    two = sleeping(daemon, "--ipc", f"container:{one}")
    daemon.docker("exec", one, "sh", "-c", "echo hello > /dev/shm/letter")
    assert daemon.out("exec", two, "cat", "/dev/shm/letter") == "hello"
    three = quick(daemon, "--ipc", f"container:{two}", "busybox", "sh", "-c", "cat /dev/shm/letter; df /dev/shm")
    assert three.startswith("hello\n")
    assert " 5120 " in three
    pids = [daemon.inspect(name)["State"]["Pid"] for name in (one, two)]
    assert len({os.readlink(f"/proc/{pid}/ns/ipc") for pid in pids}) == 1


def test_a_mode_names_its_container_by_id(daemon: Daemon) -> None:
    """So that it stays right when that one is renamed."""
    one = daemon.out("run", "-d", *NONE, "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "300")
    args = ("--ipc", "container:donor", "--pid", "container:donor", "--network", "container:donor")
    two = daemon.out("create", *args, "busybox", "true")
    host = daemon.inspect(two)["HostConfig"]
    assert {host[mode] for mode in ("IpcMode", "PidMode", "NetworkMode")} == {f"container:{one}"}
    daemon.docker("rename", "donor", "renamed")
    daemon.docker("start", "-a", two)


def test_private_memory_cannot_be_joined(daemon: Daemon) -> None:
    """The default, and none: Docker's words name the way out."""
    for mode in ("private", "none"):
        other = sleeping(daemon, "--ipc", mode)
        assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in refused(
            daemon, *NONE, "--ipc", f"container:{other}"
        )


@pytest.mark.parametrize("kind", ["ipc", "pid"])
def test_a_container_that_does_not_run_cannot_be_joined(daemon: Daemon, kind: str) -> None:
    other = daemon.out("create", *NONE, "--ipc", "shareable", "busybox", "true")
    assert f"container {other} is not running" in refused(daemon, *NONE, f"--{kind}", f"container:{other}")
    assert "No such container: nobody" in refused(daemon, *NONE, f"--{kind}", "container:nobody")


@pytest.mark.ours
def test_shared_memory_ends_with_its_container(daemon: Daemon) -> None:
    """Also when it fails to start, and when it is restarted it is a fresh one."""
    one = sleeping(daemon, "--ipc", "shareable")
    daemon.docker("exec", one, "touch", "/dev/shm/old")
    daemon.docker("restart", "-t", "0", one)
    assert daemon.out("exec", one, "ls", "/dev/shm") == ""
    daemon.docker("kill", one)
    assert not daemon.settled(lambda: [point for point in daemon.mounts() if point.endswith("/shm")])
    daemon.docker("run", "--rm", *NONE, "--ipc", "shareable", "busybox", "/no/such", check=False)
    assert not [point for point in daemon.mounts() if point.endswith("/shm")]


def test_no_shared_memory(daemon: Daemon) -> None:
    assert quick(daemon, "--ipc", "none", "busybox", "sh", "-c", "grep -c /dev/shm /proc/mounts; true") == "0\n"


def test_ipc_of_the_host(daemon: Daemon) -> None:
    found = quick(daemon, "--ipc", "host", "busybox", "sh", "-c", "ls -i -d /dev/shm; stat -L -c %i /proc/self/ns/ipc")
    assert found.split()[0] == str(os.stat("/dev/shm").st_ino)
    assert found.split()[-1] == str(os.stat("/proc/self/ns/ipc").st_ino)


def test_the_daemons_default(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon("--default-ipc-mode", "shareable", "--default-cgroupns-mode", "private")
    one = sleeping(daemon)
    assert daemon.inspect(one)["HostConfig"]["IpcMode"] == "shareable"
    assert daemon.inspect(one)["HostConfig"]["CgroupnsMode"] == "private"
    quick(daemon, "--ipc", f"container:{one}", "busybox", "true")
    assert "name=cgroupns" in daemon.out("info", "-f", "{{.SecurityOptions}}")


# --- pid


def test_process_ids_of_another(daemon: Daemon) -> None:
    """Its processes are seen, and end with it."""
    one = sleeping(daemon)
    assert "sleep 300" in quick(daemon, "--pid", f"container:{one}", "busybox", "ps")
    two = sleeping(daemon, "--pid", f"container:{one}")
    daemon.docker("kill", one)
    assert daemon.docker("wait", two, timeout=10).stdout.strip() == "137"


def test_process_ids_of_the_host(daemon: Daemon) -> None:
    found = quick(daemon, "--pid", "host", "busybox", "stat", "-L", "-c", "%i", "/proc/self/ns/pid")
    assert found.strip() == str(os.stat("/proc/self/ns/pid").st_ino)


@pytest.mark.parametrize("args", [("--pid", "host"), ("--ipc", "host"), ("--privileged",)])
def test_what_is_shared_with_the_host_has_no_label(daemon: Daemon, args: tuple[str, ...]) -> None:
    """As Docker shows it; an option of the user's own stays."""
    plain = daemon.out("create", *NONE, *args, "busybox", "true")
    assert daemon.inspect(plain)["HostConfig"]["SecurityOpt"] == ["label=disable"]
    asked = daemon.out("create", *NONE, *args, "--security-opt", "label=level:s0", "busybox", "true")
    assert daemon.inspect(asked)["HostConfig"]["SecurityOpt"] == ["label=level:s0"]


# --- uts and cgroup


def test_names_of_the_host(daemon: Daemon) -> None:
    assert quick(daemon, "--uts", "host", "busybox", "hostname") == f"{os.uname().nodename}\n"
    assert "conflicting options: hostname and the UTS mode" in refused(
        daemon, *NONE, "--uts", "host", "--hostname", "x"
    )


def test_a_domain_is_not_part_of_the_host_name(daemon: Daemon) -> None:
    found = quick(
        daemon,
        *("--hostname", "mine", "--domainname", "example", "busybox", "sh", "-c"),
        "hostname; cat /etc/hostname /proc/sys/kernel/domainname",
    )
    assert found.split() == ["mine", "mine", "example"]


@pytest.mark.parametrize(("mode", "own"), [("private", True), ("host", False)])
def test_the_view_of_cgroups(daemon: Daemon, mode: str, own: bool) -> None:  # noqa: FBT001  from a table
    found = quick(daemon, "--cgroupns", mode, "busybox", "stat", "-L", "-c", "%i", "/proc/self/ns/cgroup")
    assert (found.strip() != str(os.stat("/proc/self/ns/cgroup").st_ino)) is own
