"""SIGKILL at any moment of a pull: the daemon starts, nothing differs, the pull completes, no byte is lost (Show 4).

``WHERRY_TEST_PULL_KILLS=50`` for the whole of the promise; by default ten moments, the same each time.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

from support.commands import eventually
from support.daemons import Daemon
from support.fsck import fsck
from support.images import Tar, busybox_layer
from support.registries import Registry

pytestmark = [pytest.mark.ours, pytest.mark.root, pytest.mark.slow]

KILLS = int(os.environ.get("WHERRY_TEST_PULL_KILLS", "10"))
AREAS = ("layers", "blobs", "ingest", "containers", "container files", "logs", "volumes", "prepared", "other")
"""Everything that a data root holds but the database, whose journal has seen more."""


def layers() -> list[bytes]:
    """busybox, a layer of many files, and two large ones that do not compress well."""
    noise = random.Random(4)
    many = Tar()
    for number in range(1500):
        many.add(f"many/{number}", noise.randbytes(noise.randrange(4000)))
    large = []
    for name in ("one", "two"):
        tar = Tar()
        tar.add(f"large/{name}", noise.randbytes(12_000_000))
        large.append(tar.bytes())
    return [busybox_layer(), many.bytes(), *large]


def held(daemon: Daemon) -> dict[str, tuple[int, int]]:
    """Things and bytes in files by area."""
    areas = daemon.api("GET", "/wherry/df").json()["Areas"]
    return {area["Name"]: (area["Items"], area["Size"]) for area in areas if area["Name"] in AREAS}


def clean(daemon: Daemon, *options: str) -> None:
    _, found = fsck(daemon, *options)
    assert not found, "\n".join(str(finding) for finding in found)


def works(daemon: Daemon, image: str) -> None:
    daemon.docker("pull", "-q", image)
    count = "ls /many | wc -l; ls /large | wc -l"
    assert daemon.out("run", "--rm", image, "sh", "-c", count) == "1500\n2"


def settle(daemon: Daemon, expected: dict[str, tuple[int, int]]) -> None:
    """Wait until as much is held; removals end a moment after they are answered."""
    deadline = time.monotonic() + 5
    while (found := held(daemon)) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == expected, "space has leaked"


def settled(daemon: Daemon) -> dict[str, tuple[int, int]]:
    """What is held once nothing changes any more."""
    before = held(daemon)
    while True:
        time.sleep(0.3)
        if (found := held(daemon)) == before:
            return found
        before = found


def forget(daemon: Daemon, image: str) -> None:
    daemon.docker("rmi", "-f", image)
    eventually("its layers are gone", lambda: held(daemon)["layers"][0] == 0)


@pytest.mark.timeout(60 + 20 * KILLS)
def test_killed_at_any_moment_of_a_pull(make_daemon: Callable[..., Daemon]) -> None:
    """The same daemon is killed again and again, and is each time as good as one that never was."""
    daemon = make_daemon(load=False)
    moments = random.Random(50)
    with Registry(daemon.box) as registry:
        registry.push_image("app", "1", layers())
        image = f"{registry.host}/app:1"
        empty = settled(daemon)
        works(daemon, image)
        forget(daemon, image)
        begun = time.monotonic()
        daemon.docker("pull", "-q", image)
        whole = time.monotonic() - begun
        undisturbed = settled(daemon)
        assert undisturbed["layers"][0] == 4
        assert undisturbed["prepared"] == empty["prepared"]
        assert undisturbed["ingest"][0] == 0
        forget(daemon, image)
        outcomes = set()
        for _ in range(KILLS):
            pull = daemon.spawn("pull", "-q", image)
            time.sleep(moments.uniform(0, whole * 1.1))
            daemon.kill9()
            pull.communicate(timeout=10)
            daemon.start()
            outcomes.add(bool(daemon.out("images", "-q")))
            clean(daemon, "--deep")
            works(daemon, image)
            settle(daemon, undisturbed)
            forget(daemon, image)
        assert False in outcomes, "no kill came before the end of the pull"
        clean(daemon)
