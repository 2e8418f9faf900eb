"""``--security-opt`` and the daemon's defaults for it, seen from inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.daemons import Daemon

NONE = ("--network", "none")


def quick(daemon: Daemon, *args: str) -> str:
    return daemon.docker("run", "--rm", *NONE, *args).stdout


def status(daemon: Daemon, field: str, *args: str) -> str:
    found = quick(daemon, *args, "busybox", "cat", "/proc/self/status")
    return dict(line.split(":\t", 1) for line in found.splitlines() if ":\t" in line)[field]


def refused(daemon: Daemon, *args: str) -> str:
    done = daemon.docker("run", "--rm", *NONE, *args, "busybox", "true", check=False)
    assert done.returncode == 125, done.stdout
    return done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "2"),
        (("--security-opt", "seccomp=unconfined"), "0"),
        (("--privileged",), "0"),
        pytest.param(("--security-opt", "seccomp=builtin"), "2", marks=pytest.mark.ours),
    ],
)
def test_seccomp(daemon: Daemon, options: tuple[str, ...], expected: str) -> None:
    if options == ("--privileged",) and daemon.kind == "dockerd":
        pytest.skip("the reference's runc needs every capability on the host")
    assert status(daemon, "Seccomp", *options) == expected


@pytest.mark.parametrize(("value", "expected"), [("", "1"), ("=true", "1"), (":false", "0"), ("=0", "0")])
def test_no_new_privileges(daemon: Daemon, value: str, expected: str) -> None:
    assert status(daemon, "NoNewPrivs", "--security-opt", f"no-new-privileges{value}") == expected


def test_system_paths_in_sight(daemon: Daemon) -> None:
    """systempaths=unconfined: nothing is masked or read-only; the client asks for it by empty lists."""
    script = "grep -c ' /proc/' /proc/mounts"
    assert int(quick(daemon, "busybox", "sh", "-c", script)) > 5
    options = ("--security-opt", "systempaths=unconfined")
    assert daemon.docker("run", "--rm", *NONE, *options, "busybox", "sh", "-c", script, check=False).stdout == "0\n"
    name = daemon.out("create", *options, "busybox", "true")
    host = daemon.inspect(name)["HostConfig"]
    assert (host["MaskedPaths"], host["ReadonlyPaths"]) == ([], [])


@pytest.mark.ours
@pytest.mark.parametrize(
    ("options", "writable"),
    [
        ((), False),
        (("--security-opt", "writable-cgroups=true"), True),
        (("--privileged",), True),
        (("--privileged", "--security-opt", "writable-cgroups=false"), False),
    ],
)
def test_writable_cgroups(daemon: Daemon, options: tuple[str, ...], writable: bool) -> None:  # noqa: FBT001  from a table
    """The option says it, else privilege does."""
    script = "grep ' /sys/fs/cgroup' /proc/mounts | grep cgroup | tail -n 1 | cut -d' ' -f4"
    flags = quick(daemon, *options, "busybox", "sh", "-c", script).strip().split(",")
    assert ("rw" in flags) is writable


def test_options_that_are_none(daemon: Daemon, tmp_path: Path) -> None:
    """An option nobody knows, and a profile that is JSON but no profile."""
    assert 'invalid --security-opt 2: "foo=bar"' in refused(daemon, "--security-opt", "foo=bar")
    (tmp_path / "none.json").write_text('{"defaultAction": "SCMP_ACT_NONSENSE"}')
    assert refused(daemon, "--security-opt", f"seccomp={tmp_path}/none.json")


def test_labels_and_profiles_of_other_machines(daemon: Daemon) -> None:
    """Without SELinux and AppArmor in the kernel their options are taken and mean nothing, as in Docker."""
    if daemon.api("GET", "/info").json()["SecurityOptions"] != ["name=seccomp,profile=builtin"] and (
        daemon.kind == "wherryd"
    ):
        pytest.skip("this machine has AppArmor or SELinux")
    options = ("--security-opt", "label=level:s0:c1,c2", "--security-opt", "apparmor=unconfined")
    name = daemon.out("run", "-d", *NONE, *options, "busybox", "sleep", "60")
    found = daemon.inspect(name)
    assert (found["ProcessLabel"], found["MountLabel"], found["AppArmorProfile"]) == ("", "", "")


@pytest.mark.ours
def test_defaults_of_the_daemon(make_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """For every container that does not say otherwise."""
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    }
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    flags = ("--default-shm-size", "3m", "--default-ulimit", "nofile=100:200")
    daemon = make_daemon("--seccomp-profile", str(path), "--no-new-privileges", "--init", *flags)
    name = daemon.out("run", "-d", *NONE, "busybox", "sleep", "300")
    script = "mkdir /x; grep NoNewPrivs /proc/self/status; ulimit -n; ulimit -Hn; df /dev/shm | tail -n 1; ps"
    done = daemon.docker("exec", name, "sh", "-c", script)
    assert "mkdir: can't create directory '/x': Operation not permitted" in done.stderr
    first = done.stdout.split()
    assert first[:4] == ["NoNewPrivs:", "1", "100", "200"]
    assert " 3072 " in done.stdout
    assert daemon.inspect(name)["HostConfig"]["ShmSize"] == 3 << 20
    quick(daemon, "--security-opt", "seccomp=unconfined", "busybox", "mkdir", "/x")
    assert status(daemon, "NoNewPrivs", "--security-opt", "no-new-privileges=false") == "0"
    assert quick(daemon, "--ulimit", "nofile=50:60", "busybox", "sh", "-c", "ulimit -n") == "50\n"
    info = daemon.api("GET", "/info").json()
    assert info["SecurityOptions"] == [f"name=seccomp,profile={path}", "name=no-new-privileges"]
    assert "WARNING: daemon is not using the default seccomp profile" in info["Warnings"]
