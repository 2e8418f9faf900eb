"""Fixtures of the runtime's laboratory, see ``lab``."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.lab import BUSYBOX, Lab, processes_of


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system of busybox and two users."""
    root = tmp_path_factory.mktemp("busybox")
    for name in ("bin", "etc", "root", "tmp", "var", "home/user"):
        (root / name).mkdir(parents=True)
    root.chmod(0o755)
    (root / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\nextra:x:2000:user\n")
    (root / "etc/plain").write_text("not executable\n")
    return root


@pytest.fixture
def lab(tmp_path: Path, busybox_root: Path) -> Iterator[Lab]:
    """A laboratory; afterwards no mount, cgroup or process of its containers is left."""
    if os.geteuid() != 0 or not BUSYBOX.exists():
        pytest.skip("needs root and /bin/busybox")
    one = Lab(tmp_path, busybox_root)
    yield one
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(tmp_path) in line]
    groups = [path for path in Path("/sys/fs/cgroup").glob(f"*{one.cgroup_parent}/*") if path.is_dir()]
    groups += [path for path in Path(f"/sys/fs/cgroup{one.cgroup_parent}").glob("*") if path.is_dir()]
    for parent in Path("/sys/fs/cgroup").glob(f"*{one.cgroup_parent}"):
        if not groups:
            parent.rmdir()
    assert mounts == []
    assert groups == []
    assert [path for path in tmp_path.rglob("rootfs") if path.is_dir()] == []
    assert processes_of(tmp_path) == []
