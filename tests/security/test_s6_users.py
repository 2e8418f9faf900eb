"""S6: the ids are those that were asked for, and the image's account files cost neither time nor memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci.yard import Oci, Yard
from runtime.processes import fields
from security.attack import NO_NETWORK, engine_processes, loaded
from support import images
from support.daemons import Daemon

pytestmark = pytest.mark.root

PASSWD = b"""\
root:x:0:0::/root:/bin/sh
0:x:1234:1234::/:/bin/sh
1000:x:0:0::/:/bin/sh
4294967296:x:0:0::/:/bin/sh
18446744073709551616:x:0:0::/:/bin/sh
99999999999999999999:x:0:0::/:/bin/sh
+99999999999999999999:x:0:0::/:/bin/sh
user:x:2000:2000::/:/bin/sh
"""
GROUP = b"root:x:0:\n0:x:4321:\n99999999999999999999:x:0:\nextra:x:3000:user,1000,0\nuser:x:2000:\n"
SHOW = ("grep", "-E", "^(Uid|Gid|Groups):", "/proc/self/status")
GIB = 1 << 30
SLOW = 15.0
"""Seconds, far more than a start takes anywhere, far less than reading a file without end."""


def ids(printed: str) -> tuple[list[str], list[str], list[str]]:
    found = fields(printed)
    return found["Uid"].split(), found["Gid"].split(), found["Groups"].split()


@pytest.fixture(scope="module")
def image(shared_daemon: Daemon, busybox_layer: bytes) -> Iterator[str]:
    """One with those accounts."""
    layer = images.Tar()
    layer.add("etc/passwd", PASSWD)
    layer.add("etc/group", GROUP)
    with loaded(shared_daemon, busybox_layer, layer) as name:
        yield name


EXACT = {
    "0": ("0", "0", ["0"]),
    "1000": ("1000", "0", ["0"]),
    "user": ("2000", "2000", ["2000", "3000"]),
    "user:user": ("2000", "2000", ["2000"]),
    "2000": ("2000", "2000", ["2000", "3000"]),
    "7:8": ("7", "8", ["8"]),
    "0:0": ("0", "0", ["0"]),
}


@pytest.mark.parametrize("how", ["run", "exec"])
def test_ids_and_groups_are_exact(daemon: Daemon, image: str, how: str) -> None:
    """CVE-2022-36109: users and groups *named* by a number are no way to its id; the primary group is among the groups.

    Guard: ``users.resolve``, and ``setgroups`` in ``init_process_identity``. Seen to fail without the latter.
    """
    name = daemon.out("run", "-d", *NO_NETWORK, image, "sleep", "60")
    for user, (uid, gid, groups) in EXACT.items():
        words = ("exec", "-u", user, name) if how == "exec" else ("run", "--rm", *NO_NETWORK, "-u", user, image)
        seen = ids(daemon.docker(*words, *SHOW).stdout)
        assert (seen[0], seen[1], sorted(seen[2])) == ([uid] * 4, [gid] * 4, groups), user


TOO_LARGE = [
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999",
    "+99999999999999999999",
    "-1",
    "0:99999999999999999999",
    "7:4294967296",
]


@pytest.mark.ours  # the reference takes it for a name
def test_a_number_too_large_is_nobody(daemon: Daemon, image: str) -> None:
    """CVE-2026-46680: USER of the image, or -u, is a number that no id has, and passwd has an entry named so for root.

    Guard: ``users._find_user`` and ``_find_group`` take digits alone for no name. Seen to fail before they did.
    ``users._check`` refuses the rest, and the kernel would.
    """
    name = daemon.out("run", "-d", *NO_NETWORK, image, "sleep", "60")
    for user in TOO_LARGE:
        done = daemon.docker("exec", "-u", user, name, *SHOW, check=False)
        assert done.returncode != 0, user
        assert "Uid" not in done.stdout, user  # an exec says there why it failed
    for user in TOO_LARGE[3:6]:
        done = daemon.docker("run", "--rm", *NO_NETWORK, "-u", user, image, *SHOW, check=False)
        assert (done.returncode != 0, done.stdout) == (True, ""), user


@pytest.mark.parametrize("user", ["0:0", "5:6"])
def test_the_commands_caller_passes_no_group_on(yard: Yard, oci: Oci, user: str) -> None:
    """CVE-2022-36109: ``wherry-oci`` is called with groups, and the image's file lists the user.

    Guard: ``setgroups`` in ``init_process_identity._set_groups``. Seen to fail without it.
    """
    uid, gid = map(int, user.split(":"))
    config = yard.config(*SHOW, user={"uid": uid, "gid": gid})
    called = ["setpriv", "--groups=4,27,99", *oci.argv("run", "-b", yard.bundle(config), "box")]
    done = subprocess.run(called, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=True)
    assert ids(done.stdout) == ([str(uid)] * 4, [str(gid)] * 4, [])


def test_a_number_too_large_for_the_command(yard: Yard, oci: Oci) -> None:
    """CVE-2024-40635's kind: 2³² is not root, for ``wherry-oci exec --user`` and in config.json.

    Guard: ``exec_process._id``, ``init_process_identity.given``. Seen to fail when the former cut it to 32 bits.
    """
    oci.run(yard.bundle(yard.config("sleep", "100")))
    try:
        for user in ("4294967296", "4294967295", "-1", "5:4294967296", "1_0"):
            done = oci("exec", "-u", user, "box", *SHOW)
            assert (done.code != 0, done.out) == (True, ""), user
    finally:
        oci.ok("delete", "-f", "box")
    config = yard.config(*SHOW, user={"uid": 1 << 32, "gid": 0})
    assert oci("run", "-b", yard.bundle(config), "box").code != 0


# --- files without end


def peaks(daemon: Daemon) -> dict[int, int]:
    """The most memory that each of the engine's processes ever had, in KiB."""
    found = {}
    for pid, _ in engine_processes(daemon):
        status = fields(Path(f"/proc/{pid}/status").read_text())
        found[pid] = int(status["VmHWM"].split()[0])
    return found


@pytest.mark.ours
@pytest.mark.parametrize("name", ["group", "passwd"])
def test_a_gigabyte_of_accounts(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """CVE-2026-47262: 1 GiB (sparse) of /etc/group or passwd, by run, and by exec in a container of 32 MiB.

    Guard: ``paths.read_bounded`` reads a byte more than ``users.MAX_FILE``. Seen to fail (killed for its memory, in
    the container's cgroup) with a limit of 2 GiB.
    """
    huge = tmp_path / name
    huge.touch()
    os.truncate(huge, GIB)
    before = peaks(daemon)
    small = (*NO_NETWORK, "-m", "32m", "-v", f"{huge}:/etc/{name}")
    done = daemon.docker("run", "--rm", *small, "-u", "nobody", "busybox", "id", "-u", check=False, timeout=SLOW)
    assert f"the container's {name} file is larger than" in done.stderr
    container = daemon.out("run", "-d", *NO_NETWORK, "-m", "32m", "busybox", "sleep", "60")
    daemon.docker("exec", container, "truncate", "-s", str(GIB), f"/etc/{name}")
    done = daemon.docker("exec", "-u", "nobody", container, "id", "-u", check=False, timeout=SLOW)
    assert f"the container's {name} file is larger than" in done.stderr + done.stdout
    after = peaks(daemon)
    assert {pid: (before[pid], now) for pid, now in after.items() if now > before.get(pid, now) + 200_000} == {}


@pytest.mark.ours  # the reference waits for a writer
@pytest.mark.parametrize("name", ["group", "passwd"])
def test_accounts_that_are_no_file(daemon: Daemon, name: str) -> None:
    """CVE-2024-9676: a FIFO, a device or a directory in a running container; exec ends at once with an error.

    Guard: ``paths.read_bounded`` looks at the kind before it opens. Seen to fail (hang) with an open for reading alone.
    """
    container = daemon.out("run", "-d", *NO_NETWORK, "busybox", "sleep", "60")
    for make in (
        "mkfifo $f",
        "mknod $f c 1 5",
        "mkdir $f; rmdir $f; ln -s /dev/zero $f",
        "ln -s fifo $f; mkfifo /etc/fifo",
    ):
        script = f"f=/etc/{name}; rm -rf $f; {make}"
        daemon.docker("exec", "-u", "0:0", container, "sh", "-c", script, check=False, timeout=SLOW)
        done = daemon.docker("exec", "-u", "nobody", container, "id", "-u", check=False, timeout=SLOW)
        assert done.returncode != 0
        daemon.docker("rm", "-f", container)
        container = daemon.out("run", "-d", *NO_NETWORK, "busybox", "sleep", "60")


@pytest.mark.parametrize("make", ["fifo", "sparse", "zero"])
def test_accounts_of_a_bundle(yard: Yard, oci: Oci, make: str) -> None:
    """CVE-2024-9676, CVE-2026-47262 under ``wherry-oci``, which asks passwd for a home directory: then there is none.

    Guard: as above, in ``init_program._read_passwd``. Seen to fail with an open for reading alone.
    """
    rootfs = yard.path / "attack"
    subprocess.run(["cp", "-a", yard.rootfs, rootfs], check=True)
    passwd = rootfs / "etc/passwd"
    passwd.unlink()
    if make == "fifo":
        os.mkfifo(passwd)
    elif make == "sparse":
        passwd.touch()
        os.truncate(passwd, GIB)
    else:
        passwd.symlink_to("/dev/zero")
    config = yard.config("sh", "-c", "echo $HOME")
    config["root"] = {"path": str(rootfs)}
    assert oci.ok("run", "-b", yard.bundle(config), "box") == "/\n"
