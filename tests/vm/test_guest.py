"""The guest is what the other tests take it for."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from support.commands import run
from vm.conftest import DISK, TREE
from wherry.linux.cgroups import Cgroups

CAP_SYS_RESOURCE = 24


def test_control_groups_are_v2_alone_with_every_controller(cgroups: Cgroups) -> None:
    kinds = [line.split(" - ")[1].split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert "cgroup2" in kinds
    assert "cgroup" not in kinds
    assert cgroups.version == 2
    assert {"cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc"} <= {
        *(TREE / "cgroup.controllers").read_text().split()
    }


def test_apparmor_is_on() -> None:
    assert Path("/sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"
    assert "apparmor" in Path("/sys/kernel/security/lsm").read_text().split(",")


def test_no_capability_is_missing() -> None:
    """Raising a hard limit needs CAP_SYS_RESOURCE."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[0], limit[1] + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    assert int(line.split()[1], 16) == (1 << (last + 1)) - 1


def test_overlays_have_a_place(tmp_path: Path) -> None:
    """On /tmp and on the disk, not on the root, which is one itself."""
    for place in (tmp_path, DISK / "overlay"):
        for part in ("lower", "upper", "work", "at"):
            (place / part).mkdir(parents=True)
        options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
        run("mount", "-t", "overlay", "-o", options, "test", str(place / "at"))
        (place / "at" / "file").touch()
        run("umount", str(place / "at"))
        assert (place / "upper" / "file").exists()


@pytest.mark.systemd
def test_systemd_is_process_one_and_answers_on_both_sockets() -> None:
    assert Path("/proc/1/comm").read_text().strip() == "systemd"
    assert os.path.exists("/run/systemd/private")
    assert run("busctl", "--no-pager", "get-property", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
               "org.freedesktop.systemd1.Manager", "Version").stdout.startswith('s "')  # fmt: skip
    assert "memory" in (TREE / "system.slice/cgroup.controllers").read_text().split()
