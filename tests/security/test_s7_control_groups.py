"""S7: a way out by control groups (CVE-2022-0492, release_agent) or to the user's others (CVE-2023-25809, rootless)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci.yard import Oci, Yard
from security.attack import NO_NETWORK
from support.daemons import Daemon
from support.rootless import Rootless

pytestmark = pytest.mark.root

EPERM = "Operation not permitted"
GROUPS = "awk '$3 ~ /^cgroup/ {print $2, $4}' /proc/mounts"


STEPS = (
    "mount -t cgroup -o memory cgroup /mnt",
    "mount -t cgroup -o rdma cgroup /mnt",
    "mount -t cgroup2 none /mnt",
    "mount -o remount,rw /sys/fs/cgroup",
    "mount -t proc none /mnt",
    "mount --bind /sys/fs/cgroup /mnt",
    "umount /sys/fs/cgroup",
    "unshare -m true",
    "unshare -U true",
    "unshare -U -r -m true",
    "unshare -p true",
    "nsenter -t 1 -m true",
)


@pytest.mark.parametrize("how", ["run", "exec"])
def test_the_default_profile_says_eperm(daemon: Daemon, how: str) -> None:
    """CVE-2022-0492: the steps of the attack, each refused by itself, by root.

    Guard: the default seccomp profile, loaded by ``init_program.Program._confine`` (mount, unshare, setns only with
    CAP_SYS_ADMIN). Seen to fail (unshare -U) without it; the capability is missing besides.
    """
    words: tuple[str, ...] = ("run", "--rm", *NO_NETWORK, "busybox")
    if how == "exec":
        words = ("exec", daemon.out("run", "-d", *NO_NETWORK, "busybox", "sleep", "60"))
    script = "mkdir -p /mnt; " + "; ".join(f"echo '= {step}'; {step} 2>&1 && echo WORKED" for step in STEPS)
    printed = daemon.docker(*words, "sh", "-c", f"{script}; true").stdout
    for part in printed.split("= ")[1:]:
        step, said = part.split("\n", 1)
        assert "WORKED" not in said, step
        assert EPERM in said or "permission denied" in said, part


@pytest.mark.parametrize(
    "options", [(), ("--cgroupns", "host"), ("--security-opt", "seccomp=unconfined")], ids=" ".join
)
def test_nothing_of_the_groups_can_be_written(daemon: Daemon, options: tuple[str, ...]) -> None:
    """CVE-2022-0492: no release_agent, and no group of one's own to put notify_on_release in.

    Guard: ``spec_mounts`` mounts the hierarchies read-only (``init_mount_cgroups``). Seen to fail without "ro" there.
    """
    script = f"""
    {GROUPS}
    for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
        for f in release_agent notify_on_release cgroup.procs tasks memory.limit_in_bytes; do
            [ -e $d/$f ] && echo 1 2>/dev/null > $d/$f && echo WRITTEN $d/$f
        done
        mkdir $d/attack 2>/dev/null && echo MADE $d/attack
    done 2>/dev/null; true
    """
    lines = daemon.docker("run", "--rm", *NO_NETWORK, *options, "busybox", "sh", "-c", script).stdout.splitlines()
    assert [line for line in lines if line.split()[0] in {"WRITTEN", "MADE"}] == []
    assert lines
    assert [line for line in lines if "ro" not in line.split()[1].split(",")] == []


def test_groups_of_a_bundle(yard: Yard, oci: Oci) -> None:
    """CVE-2022-0492 under ``wherry-oci``: a bundle's cgroup mount with ro can be neither written to nor remounted.

    Guard: ``init_mount_cgroups.mount_cgroups``. Seen to fail when "ro" does not reach the hierarchies.
    """
    attack = "mkdir $d/attack && echo MADE; echo 1 > $d/release_agent && echo WRITTEN"
    show = f"{GROUPS}; for d in /sys/fs/cgroup/*; do {attack}; done"
    config = yard.config("sh", "-c", f"({show}) 2>/dev/null; true")
    config["linux"]["namespaces"].append({"type": "cgroup"})
    config["mounts"] += [
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "nodev", "ro"]},
    ]
    lines = oci.ok("run", "-b", yard.bundle(config), "box").splitlines()
    assert lines
    assert [line for line in lines if "ro" not in line.split()[-1].split(",")] == []


@pytest.fixture
def rootless_daemon(rootless: Rootless) -> Iterator[Rootless]:
    yield rootless
    rootless.clear()


@pytest.mark.ours
@pytest.mark.parametrize("options", [(), ("--cgroupns", "host")], ids=" ".join)
def test_the_users_groups_from_a_rootless_container(rootless_daemon: Rootless, options: tuple[str, ...]) -> None:
    """CVE-2023-25809: whatever shows groups in a rootless container is read-only, the mounts below /sys too.

    Guard: as above; without a cgroup namespace the borrowed mounts of ``init_mount_sources.borrow`` become read-only
    by the entry's attributes. Seen to fail without "ro" in ``spec_mounts``.
    """
    script = (
        f"{GROUPS}; awk '$2 ~ /^.sys/ {{print $2, $4}}' /proc/mounts; mkdir /sys/fs/cgroup/attack && echo MADE; true"
    )
    done = rootless_daemon.docker("run", "--rm", *NO_NETWORK, *options, "busybox", "sh", "-c", script, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "MADE" not in lines
    assert [line for line in lines if "ro" not in line.split()[1].split(",")] == []


@pytest.mark.ours
def test_the_rootless_default_bundle(yard: Yard, oci: Oci) -> None:
    """CVE-2023-25809: what ``wherry-oci spec --rootless`` writes shows no hierarchy that could be written to.

    Guard: ``oci/defaults``: the bound /sys is read-only, and a cgroup namespace is made. Seen to fail without "ro".
    """
    where = yard.bundle(None)
    oci.ok("spec", "--rootless", "-b", where)
    config = json.loads(Path(where, "config.json").read_text())
    for mount in config["mounts"]:
        if mount["destination"].startswith("/sys"):
            assert "ro" in mount["options"] or "rro" in mount["options"], mount
    assert {"type": "cgroup"} in config["linux"]["namespaces"] or not any(
        mount["destination"] == "/sys/fs/cgroup" for mount in config["mounts"]
    )
