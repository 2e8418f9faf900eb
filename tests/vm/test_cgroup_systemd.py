"""The systemd cgroup driver, with systemd itself: a container's group is a scope, and stays what it was told to be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commands import eventually, run
from vm.conftest import TREE
from wherry.linux.cgroups import CgroupError, Cgroups, open_hierarchy
from wherry.linux.cgroups.dbus import Bus

pytestmark = pytest.mark.systemd

MIB = 1 << 20
LIMITS = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "quota": 20_500, "period": 100_000, "cpus": "1", "mems": "0"},
    "pids": {"limit": 20},
    "unified": {"memory.high": str(48 * MIB), "memory.oom.group": "1"},
    "devices": [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "c", "major": 136, "access": "rw"},
    ],
}
FILES = {
    "memory.max": str(64 * MIB),
    "memory.low": str(32 * MIB),
    "memory.high": str(48 * MIB),
    "memory.swap.max": str(32 * MIB),
    "memory.oom.group": "1",
    "cpu.max": "20500 100000",
    "cpu.weight": "59",
    "cpuset.cpus": "1",
    "pids.max": "20",
}


@pytest.fixture(scope="module")
def cgroups() -> Cgroups:
    """The driver."""
    return open_hierarchy(systemd=True)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be killed."""
    with subprocess.Popen(["/bin/busybox", "sleep", "300"]) as process:
        yield process
        process.kill()


Scope = Callable[..., str]


@pytest.fixture
def scope(cgroups: Cgroups, sleeper: subprocess.Popen[bytes]) -> Iterator[Scope]:
    """``scope(cgroups_path)``: a container's group with the sleeper in it; removed, unit and all."""
    made: list[str] = []

    def make(cgroups_path: str = "", annotations: dict[str, str] | None = None) -> str:
        path = cgroups.resolve(cgroups_path, f"test-{os.getpid()}")
        cgroups.create(path, sleeper.pid, annotations)
        made.append(path)
        return path

    yield make
    for path in made:
        cgroups.kill(path)
        sleeper.wait()
        cgroups.remove(path)
        assert not (TREE / path[1:]).exists()
        assert show(unit(path), "LoadState") == "not-found"


def unit(path: str) -> str:
    return path.rpartition("/")[2]


def show(name: str, *properties: str) -> str:
    """Their values, in the order asked for; systemctl has its own."""
    shown = run("systemctl", "show", f"--property={','.join(properties)}", name).stdout
    values = dict(line.split("=", 1) for line in shown.splitlines())
    return " ".join(values[name] for name in properties)


def values(path: str) -> dict[str, str]:
    return {name: (TREE / path[1:] / name).read_text().strip() for name in FILES}


def test_a_container_is_a_scope_in_the_system_slice(
    cgroups: Cgroups, scope: Scope, sleeper: subprocess.Popen[bytes]
) -> None:
    path = scope()
    assert path == f"/system.slice/wherry-test-{os.getpid()}.scope"
    assert cgroups.procs(path) == [sleeper.pid]
    assert show(unit(path), "ActiveState", "Slice", "Delegate") == "active system.slice yes"
    assert Path(f"/proc/{sleeper.pid}/cgroup").read_text().strip() == f"0::{path}"


def test_slices_are_made_on_the_way(cgroups: Cgroups, scope: Scope) -> None:
    path = scope("wherry-test.slice:pod:one")
    assert path == "/wherry.slice/wherry-test.slice/pod-one.scope"
    assert show(unit(path), "ControlGroup") == path
    assert {"memory", "pids", "cpu", "cpuset", "io"} <= set(
        (TREE / path[1:] / "cgroup.controllers").read_text().split()
    )
    assert cgroups.exists(path)


def test_limits_survive_a_reload(cgroups: Cgroups, scope: Scope) -> None:
    """systemd writes a unit's files anew: it has to know the limits."""
    path = scope()
    cgroups.apply(path, LIMITS)
    assert values(path) == FILES
    run("systemctl", "daemon-reload")
    # systemd counts quota in whole per cents, and a scope of version 252 has no word for the group's common death.
    lost = {"cpu.max": "21000 100000", "memory.oom.group": "0"}
    assert values(path) in (FILES, FILES | lost, FILES | {"memory.oom.group": "0"})
    cgroups.apply(path, {"pids": {"limit": 9}, "cpu": {"quota": 50_000}})
    changed = {"pids.max": "9", "cpu.max": "50000 100000", "memory.oom.group": ""}
    assert values(path) | {"memory.oom.group": ""} == FILES | changed
    run("systemctl", "daemon-reload")
    assert values(path)["pids.max"] == "9"


def test_devices_are_ours_and_systemd_s(cgroups: Cgroups, scope: Scope) -> None:
    path = scope()
    cgroups.apply(path, LIMITS)
    assert show(unit(path), "DevicePolicy") == "strict"
    script = "(: </dev/full) && echo open; : </dev/null && echo null"
    program = subprocess.Popen(
        ["/bin/busybox", "sh", "-c", f"read go; {script}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    cgroups.attach(path, program.pid)
    assert program.communicate("go\n", timeout=60)[0].split() == ["null"]


def test_annotations_are_properties(scope: Scope) -> None:
    path = scope(annotations={"org.systemd.property.TimeoutStopSec": "uint64 7", "other": "x"})
    assert show(unit(path), "TimeoutStopUSec") == "7s"


def test_a_property_that_systemd_does_not_know_is_said(cgroups: Cgroups, sleeper: subprocess.Popen[bytes]) -> None:
    path = cgroups.resolve("", "test-refused")
    with pytest.raises(CgroupError, match=r'unable to start unit "wherry-test-refused\.scope".*NoSuchThing'):
        cgroups.create(path, sleeper.pid, {"org.systemd.property.NoSuchThing": "true"})
    assert not cgroups.exists(path)


def test_a_scope_without_a_process_is_refused(cgroups: Cgroups) -> None:
    """In systemd's words: the driver has to be given one."""
    path = cgroups.resolve("", "test-empty")
    with pytest.raises(CgroupError, match=r"unable to start unit|error creating systemd unit"):
        cgroups.create(path)


def test_the_same_unit_twice_is_no_error(cgroups: Cgroups, scope: Scope, sleeper: subprocess.Popen[bytes]) -> None:
    path = scope()
    cgroups.create(path, sleeper.pid)
    assert cgroups.procs(path) == [sleeper.pid]


def test_freeze_and_thaw(cgroups: Cgroups, scope: Scope) -> None:
    path = scope()
    cgroups.freeze(path)
    assert cgroups.frozen(path)
    cgroups.thaw(path)
    assert not cgroups.frozen(path)


def test_removal_stops_the_unit(cgroups: Cgroups, sleeper: subprocess.Popen[bytes]) -> None:
    """And what is still in it; twice is no error."""
    path = cgroups.resolve("", "test-removed")
    cgroups.create(path, sleeper.pid)
    cgroups.kill(path)
    sleeper.wait()
    cgroups.remove(path)
    cgroups.remove(path)
    assert not cgroups.exists(path)


def test_systemd_can_be_spoken_to_without_a_bus() -> None:
    """Where there is no dbus-daemon, root uses systemd's own socket."""
    with Bus("/run/systemd/private", direct=True) as bus:
        ((signature, version),) = bus.call(
            "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1",
            "org.freedesktop.DBus.Properties",
            "Get",
            "ss",
            "org.freedesktop.systemd1.Manager",
            "Version",
        )
    assert signature == "s"
    assert int(version[:3]) > 200


@pytest.fixture
def user() -> Iterator[int]:
    """An ordinary user with a systemd of their own."""
    uid = 4321
    with open("/etc/passwd", "a", encoding="ascii") as file:
        file.write(f"tester:x:{uid}:{uid}::/tmp:/bin/sh\n")
    with open("/etc/group", "a", encoding="ascii") as file:
        file.write(f"tester:x:{uid}:\n")
    runtime = Path(f"/run/user/{uid}")
    runtime.mkdir(parents=True, mode=0o700)
    os.chown(runtime, uid, uid)
    started = run(
        "systemd-run", f"--uid={uid}", "--unit=tester", "--property=Delegate=yes", "--property=Type=exec",
        f"--setenv=XDG_RUNTIME_DIR={runtime}", "/usr/lib/systemd/systemd", "--user", "--unit=basic.target",
        check=False, timeout=120,
    )  # fmt: skip
    if started.returncode:
        pytest.skip(f"no systemd for a user: {started.stderr}")
    yield uid
    run("systemctl", "stop", "tester.service", check=False, timeout=120)


ROOTLESS = """
import os, subprocess, sys
from wherry.linux.cgroups import open_hierarchy
cgroups = open_hierarchy(systemd=True)
assert cgroups.rootless
sleeper = subprocess.Popen(["/bin/busybox", "sleep", "300"])
path = cgroups.resolve("", "mine")
cgroups.create(path, sleeper.pid)
devices = [{"allow": False, "access": "rwm"}]
cgroups.apply(path, {"memory": {"limit": 64 << 20}, "pids": {"limit": 9}, "devices": devices})
print(path, open(f"/sys/fs/cgroup{path}/memory.max").read().strip(), cgroups.procs(path) == [sleeper.pid])
other = subprocess.Popen(["/bin/busybox", "sleep", "300"])
cgroups.attach(path, other.pid)
print(cgroups.procs(path) == sorted([sleeper.pid, other.pid]))
cgroups.kill(path)
sleeper.wait(), other.wait()
cgroups.remove(path)
print(cgroups.exists(path))
"""


def test_an_ordinary_user_has_scopes_of_their_own(user: int) -> None:
    """Below the user's own systemd, with the limits that were delegated to it."""
    runtime = f"/run/user/{user}"
    eventually("the user's systemd is there", Path(f"{runtime}/systemd/private").exists, within=60)
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", sys.executable, "-c", ROOTLESS],
        env={**os.environ, "XDG_RUNTIME_DIR": runtime},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    scope = "/system.slice/tester.service/user.slice/wherry-mine.scope"
    assert done.stdout.split() == [scope, str(64 * MIB), "True", "True", "False"]
