"""Fixtures of the runtime's laboratory, see ``lab``."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.bundles import Bundle
from runtime.lab import BUSYBOX, Lab, processes_of
from runtime.processes import Process
from support import images
from wherry.linux.cgroups import open_hierarchy

_numbers = itertools.count()


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system of busybox and two users."""
    root = images.busybox_root(tmp_path_factory.mktemp("busybox"), "etc", "root", "tmp", "var", "home/user")
    (root / "tmp").chmod(0o1777)
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
    cgroups = open_hierarchy()
    cgroups.create(one.cgroup_parent)
    yield one
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(tmp_path) in line]
    tops = [Path(hierarchy.at(one.cgroup_parent)) for hierarchy in cgroups.hierarchies]
    groups = [path for top in tops for path in top.iterdir() if path.is_dir()]
    if not groups:
        cgroups.remove(one.cgroup_parent)
    assert mounts == []
    assert groups == []
    assert [path for path in tmp_path.rglob("rootfs") if path.is_dir()] == []
    assert processes_of(tmp_path) == []


@pytest.fixture
def bundle(tmp_path: Path, busybox_root: Path) -> Iterator[Bundle]:
    """A bundle; afterwards nothing of it is mounted and nobody is in it."""
    if os.geteuid() != 0 or not BUSYBOX.exists():
        pytest.skip("needs root and /bin/busybox")
    directory = tmp_path / "bundle"
    directory.mkdir()
    subprocess.run(["cp", "-a", busybox_root, directory / "rootfs"], check=True)
    for name in ("dev", "proc", "sys"):
        (directory / "rootfs" / name).mkdir(exist_ok=True)
    one = Bundle(directory, f"root-{os.getpid()}-{next(_numbers)}")
    yield one
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(tmp_path) in line]
    assert mounts == []
    assert processes_of(tmp_path) == []
    groups = [hierarchy.at(f"/{one.name}") for hierarchy in open_hierarchy().hierarchies]
    assert [path for path in groups if os.path.exists(path)] == []


@pytest.fixture
def program(bundle: Bundle) -> Process:
    """The process of a bundle."""
    return Process(bundle)
