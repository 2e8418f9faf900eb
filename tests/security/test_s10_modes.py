"""S10 (CVE-2021-41091, CVE-2024-25621): a user of the machine finds nothing of a container's, setuid least."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci.yard import Oci, Yard
from security.attack import NO_NETWORK
from support.daemons import Daemon

pytestmark = pytest.mark.root

# By a shell: setpriv itself would still have root's rights when it looks the program up.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "/bin/sh", "-c", 'exec "$@"', "sh")


def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NOBODY, *words], capture_output=True, text=True, check=False, cwd="/", timeout=20)


@pytest.fixture
def open_root(daemon: Daemon) -> Iterator[None]:
    """Tests keep the roots below a private directory: here everybody may pass that."""
    mode = stat.S_IMODE(os.stat(daemon.root).st_mode)
    os.chmod(daemon.root, 0o755)
    yield
    os.chmod(daemon.root, mode)


@pytest.mark.ours
def test_a_setuid_program_in_a_container(daemon: Daemon, open_root: None) -> None:
    """CVE-2021-41091: a container leaves a setuid program, in its layer and in a volume; a user of the machine runs it.

    Guard: the data root is 0700 or 0710 and everything starts below it (``daemon/wiring``). Seen to fail (the volume)
    with the data root and what is in it at 0755.
    """
    make = "for d in / /data; do cp /bin/busybox $d/id; chmod 4755 $d/id; done; sleep 60"
    name = daemon.out("run", "-d", *NO_NETWORK, "-v", "data:/data", "busybox", "sh", "-c", make)
    volume = Path(daemon.out("volume", "inspect", "-f", "{{.Mountpoint}}", "data"))
    data = Path(daemon.data_root)
    while not (volume / "id").exists() or not (volume / "id").stat().st_mode & stat.S_ISUID:
        assert daemon.state(name) == "running"
    layer = next(path for path in data.rglob("id") if path != volume / "id" and path.stat().st_mode & stat.S_ISUID)
    for program in (volume / "id", layer):
        done = as_nobody(str(program), "-u")
        assert (done.returncode, done.stdout) == (126, ""), program
        assert "Permission denied" in done.stderr


@pytest.mark.ours
def test_what_a_user_can_list(daemon: Daemon, open_root: None) -> None:
    """CVE-2024-25621: modes 0700 or 0710, and of the runtime's directory at most the way through.

    Guard: ``daemon/wiring``, ``launcher``. Seen to fail with 0755.
    """
    daemon.docker("run", "-d", *NO_NETWORK, "-v", "/anonymous", "-e", "TOKEN=secret", "busybox", "sleep", "60")
    assert stat.S_IMODE(os.stat(daemon.data_root).st_mode) in {0o700, 0o710}
    assert stat.S_IMODE(os.stat(daemon.exec_root).st_mode) in {0o700, 0o710, 0o711}
    for root in (daemon.data_root, daemon.exec_root):
        assert as_nobody("ls", root).returncode != 0
    assert as_nobody("find", daemon.data_root, daemon.exec_root, "-mindepth", "1").stdout == ""
    readable = [
        entry
        for folder, _, files in os.walk(daemon.exec_root)
        for entry in (os.path.join(folder, name) for name in files)
        if as_nobody("test", "-r", entry).returncode == 0
    ]
    assert readable == []


def test_the_state_of_the_command(yard: Yard, oci: Oci) -> None:
    """CVE-2024-25621: what ``wherry-oci`` keeps of a container, its environment among it, is root's.

    Guard: the modes in ``oci/store``. Seen to fail with 0755 for its directories.
    """
    config = yard.config("sleep", "100")
    config["process"]["env"].append("TOKEN=secret")
    oci.run(yard.bundle(config))
    directory = oci.root / "box"
    assert stat.S_IMODE(oci.root.stat().st_mode) in {0o700, 0o711}
    assert stat.S_IMODE(directory.stat().st_mode) in {0o700, 0o710, 0o711}
    for entry in directory.iterdir():
        assert stat.S_IMODE(entry.lstat().st_mode) & 0o044 == 0 or stat.S_IMODE(oci.root.stat().st_mode) == 0o700, entry
    oci.ok("delete", "-f", "box")
