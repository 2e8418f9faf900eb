"""The options of ``run`` that shape a process and its surroundings, each looked at from inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.daemons import Daemon

NONE = ("--network", "none")


def run(daemon: Daemon, *args: str) -> tuple[int, str]:
    done = daemon.docker("run", "--rm", *args, check=False)
    return done.returncode, done.stdout + done.stderr


def inside(daemon: Daemon, script: str, *options: str) -> str:
    """What ``script`` prints in a container with ``options``; neither may fail."""
    return daemon.docker("run", "--rm", *NONE, *options, "busybox", "sh", "-c", script).stdout.removesuffix("\n")


CASES = [
    # --- limits of the process
    (("--ulimit", "nofile=100:200", "--ulimit", "nproc=50"), "ulimit -n; ulimit -Hn; ulimit -u", "100\n200\n50"),
    (("--ulimit", "core=0"), "ulimit -c", "0"),
    (("--oom-score-adj", "500"), "cat /proc/self/oom_score_adj", "500"),
    (("--group-add", "777", "-u", "33"), "id -G", "0 777"),
    (("-w", "/a/b"), "pwd", "/a/b"),
    (("--hostname", "hh"), "hostname; cat /etc/hostname", "hh\nhh"),
    # --- kernel settings of its namespaces
    (("--sysctl", "kernel.shmmax=12345"), "cat /proc/sys/kernel/shmmax", "12345"),
    (("--sysctl", "fs.mqueue.msg_max=50"), "cat /proc/sys/fs/mqueue/msg_max", "50"),
    (("--sysctl", "net.ipv4.ip_forward=1"), "cat /proc/sys/net/ipv4/ip_forward", "1"),
    # --- file systems
    (("--shm-size", "5m"), "df /dev/shm | tail -n 1 | awk '{print $2}'", "5120"),
    (("--read-only",), "touch /x /etc/hosts 2>&1 | grep -c Read-only; touch /dev/shm/x && echo shm", "2\nshm"),
    (
        ("--read-only", "--tmpfs", "/run:size=1m,mode=1770,uid=3"),
        "stat -c '%a %u' /run; df /run | tail -n 1 | awk '{print $2}'; touch /run/x && echo written",
        "1770 3\n1024\nwritten",
    ),
    (("--tmpfs", "/t"), "grep ' /t ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1-4", "rw,nosuid,nodev,noexec"),
    (("--tmpfs", "/t:exec"), "cp /bin/busybox /t/true && /t/true && echo ran", "ran"),
    # --- devices
    (("--device", "/dev/null:/dev/mine"), "ls -l /dev/mine | cut -c1; echo x > /dev/mine && echo ok", "c\nok"),
    (("--device", "/dev/fuse:/dev/f:r"), "exec 3< /dev/f && echo read; (exec 4> /dev/f) || echo no", "read\nno"),
    (("--device-cgroup-rule", "c 10:229 rwm"), "mknod /f c 10 229 && exec 3<> /f && echo opened", "opened"),
]


@pytest.mark.parametrize(("options", "script", "expected"), CASES, ids=[" ".join(case[0])[:40] for case in CASES])
def test_seen_from_inside(daemon: Daemon, options: tuple[str, ...], script: str, expected: str) -> None:
    assert inside(daemon, script, *options) == expected


CAPABILITIES = {"chown": 0, "net_admin": 12, "net_raw": 13, "mknod": 27}
DEFAULT = 0xA80425FB


@pytest.mark.parametrize(
    ("options", "there", "gone"),
    [
        (("--cap-add", "net_admin"), ["net_admin", "chown"], []),
        (("--cap-add", "CAP_NET_ADMIN", "--cap-drop", "Chown"), ["net_admin"], ["chown"]),
        (("--cap-drop", "ALL", "--cap-add", "chown"), ["chown"], ["net_raw", "mknod", "net_admin"]),
        pytest.param(("--cap-add", "ALL", "--cap-drop", "NET_RAW"), ["net_admin"], ["net_raw"], marks=pytest.mark.ours),
        pytest.param(("--privileged",), ["net_admin", "mknod"], [], marks=pytest.mark.ours),
    ],
)
def test_capabilities(daemon: Daemon, options: tuple[str, ...], there: list[str], gone: list[str]) -> None:
    """With and without CAP_, in any case, and ALL."""
    mask = int(inside(daemon, "grep CapEff /proc/self/status | cut -f2", *options), 16)
    assert [name for name in there if not mask >> CAPABILITIES[name] & 1] == []
    assert [name for name in gone if mask >> CAPABILITIES[name] & 1] == []


@pytest.mark.ours
def test_privileged(daemon: Daemon) -> None:
    """Every device, nothing masked, kernel settings writable."""
    script = "ls /dev | wc -l; grep -c ' /proc/' /proc/mounts; echo 5 > /proc/sys/net/ipv4/ip_default_ttl && echo set"
    done = daemon.docker("run", "--rm", *NONE, "--privileged", "busybox", "sh", "-c", script)
    devices, masked, wrote = done.stdout.split()
    assert int(devices) > 30
    assert (masked, wrote) == ("0", "set")


def test_a_device_allows_no_more_than_asked(daemon: Daemon) -> None:
    code, said = run(daemon, *NONE, "--device", "/dev/fuse:/dev/f:r", "busybox", "sh", "-c", "echo > /dev/f")
    assert code != 0
    assert "Operation not permitted" in said
    code, said = run(daemon, *NONE, "busybox", "sh", "-c", "mknod /f c 10 229 && echo > /f")
    assert "Operation not permitted" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sysctl", "net.core.somaxconn=99", "--network", "host"), "not allowed in host network namespace"),
        ((*NONE, "--sysctl", "kernel.shmmax=1", "--ipc", "host"), "not allowed in the hosts ipc namespace"),
        ((*NONE, "--storage-opt", "size=1g"), "--storage-opt is supported only for overlay over xfs with 'pquota'"),
        ((*NONE, "--isolation", "hyperv"), "linux only supports 'default'"),
        ((*NONE, "--device", "/dev/no-such"), 'adding custom device "/dev/no-such": no such file or directory'),
        ((*NONE, "--tmpfs", "/t:foo=1"), 'invalid tmpfs option ["foo" "1"]'),
        ((*NONE, "--group-add", "no-such"), "Unable to find group no-such"),
        ((*NONE, "--cap-add", "foo"), 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        ((*NONE, "--oom-score-adj", "2000"), "range for oom score adj is [-1000, 1000]"),
        ((*NONE, "--ipc", "foo"), "nvalid IPC mode: foo"),
        (
            (*NONE, "--cpu-rt-period", "1000", "--cpu-rt-runtime", "2000"),
            "cpu real-time runtime cannot be higher than cpu real-time period",
        ),
    ],
)
def test_what_is_refused(daemon: Daemon, options: tuple[str, ...], words: str) -> None:
    """In dockerd's words; nothing is silently dropped."""
    code, said = run(daemon, *options, "busybox", "true")
    assert code in (125, 127), said
    assert words in said


@pytest.mark.ours
def test_annotations_are_kept(daemon: Daemon) -> None:
    name = daemon.out("create", "--annotation", "com.example=1", "busybox", "true")
    assert daemon.inspect(name)["HostConfig"]["Annotations"] == {"com.example": "1"}


def test_a_parent_of_the_cgroup(daemon: Daemon) -> None:
    """Somewhere else than the daemon's own; it stays, as it may be anybody's, and cannot lead out of the hierarchy."""
    parent = f"{daemon.name}-parent"
    name = daemon.out("run", "-d", *NONE, "--cgroup-parent", f"../../{parent}", "busybox", "sleep", "300")
    groups = Path(f"/proc/{daemon.inspect(name)['State']['Pid']}/cgroup").read_text()
    daemon.docker("rm", "-f", name)
    for found in Path("/sys/fs/cgroup").glob(f"**/{parent}"):
        found.rmdir()
    assert f"/{parent}/{name}\n" in groups


def test_an_init_reaps(daemon: Daemon) -> None:
    found = inside(daemon, "ps -o pid,args", "--init")
    assert "init" in found.splitlines()[1]
    assert "init" not in inside(daemon, "ps -o pid,args", "--init", "--pid", "host").splitlines()[-1]
