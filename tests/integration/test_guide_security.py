"""The guide's examples of confinement: what a container may not do by default, and how that is changed."""

from __future__ import annotations

import json
from pathlib import Path

from support.daemons import Daemon

SECCOMP = Path(__file__).parents[2] / "src/wherry/linux/seccomp-default.json"


def run(daemon: Daemon, *args: str) -> tuple[int, str]:
    done = daemon.docker("run", "--rm", "--network", "none", *args, check=False)
    return done.returncode, done.stdout + done.stderr


def test_mounting_a_disk_is_refused(daemon: Daemon) -> None:
    """Without CAP_SYS_ADMIN and under the default profile, whatever the device."""
    code, said = run(daemon, "busybox", "mount", "/dev/sda1", "/tmp")
    assert code != 0
    assert "permission denied" in said


def test_a_profile_without_chmod(daemon: Daemon, tmp_path: Path) -> None:
    """A custom seccomp profile: the default one with the chmod family taken out."""
    profile = json.loads(SECCOMP.read_text())
    family = {"chmod", "fchmod", "fchmodat", "fchmodat2"}
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name not in family]
    path = tmp_path / "no-chmod.json"
    path.write_text(json.dumps(profile))
    option = ("--security-opt", f"seccomp={path}")
    code, said = run(daemon, *option, "busybox", "chmod", "400", "/etc/hosts")
    assert (code, said) == (1, "chmod: /etc/hosts: Operation not permitted\n")
    assert run(daemon, "busybox", "chmod", "400", "/etc/hosts") == (0, "")
    assert run(daemon, *option, "busybox", "touch", "/x") == (0, "")


def test_mknod_needs_its_capability(daemon: Daemon) -> None:
    """It is among the default ones, and goes with --cap-drop however its name is written."""
    device = ("mknod", "/tmp/x", "c", "1", "3")
    assert run(daemon, "busybox", *device) == (0, "")
    for name in ("mknod", "CAP_MKNOD", "all"):
        code, said = run(daemon, f"--cap-drop={name}", "busybox", *device)
        assert (code, said) == (1, "mknod: /tmp/x: Operation not permitted\n")
