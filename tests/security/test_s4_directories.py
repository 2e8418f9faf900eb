"""S4 (CVE-2024-45310): no race has the runtime make a directory or a file on the host.

By the docker CLI; the library's own steps race in runtime/test_root_attacks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci.yard import Oci, Yard
from runtime.racer import swapping
from security.attack import NO_NETWORK
from support.daemons import Daemon

pytestmark = pytest.mark.root

RACE = 2.5
"""Seconds of a race."""


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty directory of the host's; it stays empty."""
    path = tmp_path_factory.mktemp("canary")
    yield path
    assert list(path.iterdir()) == []


def trap(data: Path, canary: Path) -> tuple[Path, Path]:
    """Two names to swap: a directory and a link to the host."""
    (data / "target").mkdir()
    (data / "link").symlink_to(canary)
    return data / "target", data / "link"


def test_a_race_for_the_directories_of_a_mount_and_the_working_directory(daemon: Daemon, canary: Path) -> None:
    """CVE-2024-45310: all that the runtime makes for a container, below a directory of a shared volume.

    Guard: ``paths.make_in`` makes each component below the descriptor that it has come to. Seen to fail with
    ``os.makedirs`` of the path below the root in its place.
    """
    daemon.docker("volume", "create", "shared")
    data = Path(daemon.out("volume", "inspect", "-f", "{{.Mountpoint}}", "shared"))
    end = time.monotonic() + RACE
    number = 0
    with swapping(*trap(data, canary)):
        while time.monotonic() < end:
            number += 1
            below = f"/v/target/{number}"
            volumes = ("-v", "shared:/v", "--tmpfs", f"{below}/tmp/fs", "-v", f"/etc/hostname:{below}/file/name")
            words = ("run", "--rm", *NO_NETWORK, *volumes, "-w", f"{below}/work/directory", "busybox", "true")
            daemon.docker(*words, check=False)
    assert number > 3


def test_the_same_of_the_command(yard: Yard, oci: Oci, canary: Path) -> None:
    """CVE-2024-45310 under ``wherry-oci``. Guard: as above. Seen to fail likewise."""
    data = yard.path / "volume"
    data.mkdir()
    config = yard.config("true")
    config["mounts"].append({"destination": "/tmp", "type": "bind", "source": str(data), "options": ["bind"]})
    end = time.monotonic() + RACE
    number = 0
    with swapping(*trap(data, canary)):
        while time.monotonic() < end:
            number += 1
            below = f"/tmp/target/{number}"
            this = json.loads(json.dumps(config))
            this["process"]["cwd"] = f"{below}/work/directory"
            this["mounts"].append({"destination": f"{below}/tmp/fs", "type": "tmpfs", "source": "tmpfs"})
            oci("run", "-b", yard.bundle(this), "box")
    assert number > 3
