"""What the rows' tests share: a daemon, a bundle for the runtime's library, a yard for the command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.conftest import busybox_layer, busybox_tar, daemon, docker_cli, make_daemon, own_daemon, shared_daemon
from oci.conftest import oci, rootfs, yard
from runtime.conftest import bundle, busybox_root, lab, program
from support.daemons import standing
from support.rootless import Rootless, rootless_missing

__all__ = [
    "bundle",
    "busybox_layer",
    "busybox_root",
    "busybox_tar",
    "daemon",
    "docker_cli",
    "lab",
    "make_daemon",
    "oci",
    "own_daemon",
    "program",
    "rootfs",
    "shared_daemon",
    "yard",
]


@pytest.fixture(scope="session")
def rootless(docker_cli: str, busybox_tar: bytes) -> Iterator[Rootless]:
    """An ordinary user's daemon, busybox loaded."""
    if reason := rootless_missing():
        pytest.skip(reason)
    with standing(Rootless(), busybox_tar) as daemon:
        yield daemon
