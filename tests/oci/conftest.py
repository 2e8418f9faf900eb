"""Fixtures of the yard: whatever a test makes in it must be gone at its end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci.yard import BUSYBOX, OURS, Oci, Yard, make_rootfs, runc


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rootfs(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def yard(tmp_path: Path, rootfs: Path) -> Iterator[Yard]:
    """A test that leaves a state, a cgroup, a mount or a process has failed."""
    if os.geteuid() != 0 or not BUSYBOX.exists() or not OURS.exists():
        pytest.skip("needs root, /bin/busybox and the installed wherry-oci")
    one = Yard(tmp_path, rootfs)
    yield one
    deadline = time.monotonic() + 5
    while (left := one.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    one.clear()
    assert left == []


@pytest.fixture
def oci(yard: Yard) -> Oci:
    """Our runtime."""
    return yard.runtime()


@pytest.fixture
def reference(yard: Yard) -> Oci:
    """runc, with a state root of its own."""
    program = runc()
    if program is None:
        pytest.skip("needs runc")
    return yard.runtime(program, "reference")
