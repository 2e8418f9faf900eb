"""A daemon, an image, and a look for leftovers after each test and after all of them.

``WHERRY_TEST_PEER=dockerd`` runs the same tests against a real dockerd of their own, which is how they are proven.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import docker
import pytest

from support import images
from support.commands import find
from support.daemons import Daemon, Dockerd, Wherryd, reference_missing, standing

PEER = os.environ.get("WHERRY_TEST_PEER", "")


@pytest.fixture(autouse=True)
def _judged(request: pytest.FixtureRequest) -> None:
    if PEER and request.node.get_closest_marker("ours"):
        pytest.skip("a promise that the reference does not make")


def _new_daemon(*extra: str) -> Daemon:
    if not PEER:
        return Wherryd(extra=extra)
    assert PEER == "dockerd", "WHERRY_TEST_PEER knows one value: dockerd"
    return Dockerd(extra=extra)


@pytest.fixture(scope="session")
def docker_cli() -> str:
    """The real docker CLI; without one most of the suite means nothing, so its absence fails."""
    program = find("docker")
    if program is None:
        pytest.fail("no docker CLI: tools/reference unpacks Debian's", pytrace=False)
    return program


@pytest.fixture(scope="session")
def busybox_layer() -> bytes:
    return images.busybox_layer()


@pytest.fixture(scope="session")
def busybox_tar(busybox_layer: bytes) -> bytes:
    """busybox:latest as a docker archive."""
    return images.docker_archive(["busybox:latest"], [busybox_layer])


@pytest.fixture(scope="session")
def shared_daemon(docker_cli: str, busybox_tar: bytes) -> Iterator[Daemon]:
    """One daemon for the whole session, busybox loaded; at the end it stops and must leave nothing."""
    with standing(_new_daemon(), busybox_tar) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    """The shared daemon, empty but for busybox. What the test leaves is removed, and must go without a trace."""
    yield shared_daemon
    assert shared_daemon.running, f"the daemon died during the test:\n{shared_daemon.tail()}"
    shared_daemon.clear()
    left = shared_daemon.settled(shared_daemon.litter)
    assert not left, "left after the test's containers were removed:\n" + "\n".join(left)


@pytest.fixture
def make_daemon(docker_cli: str, busybox_tar: bytes) -> Iterator[Callable[..., Daemon]]:
    """Daemons of the test's own, for faults and restarts. Each is emptied, stopped, and must leave nothing."""
    made: list[Daemon] = []
    left: list[str] = []

    def make(*extra: str, load: bool = True) -> Daemon:
        daemon = _new_daemon(*extra)
        made.append(daemon)
        daemon.start()
        if load:
            daemon.docker("load", input=busybox_tar)
        return daemon

    try:
        yield make
        for daemon in made:
            if not daemon.running:
                daemon.start()
            daemon.clear()
            daemon.stop()
            left += daemon.settled(daemon.leftovers)
    finally:
        for daemon in made:
            daemon.discard()
    assert not left, "left on the machine:\n" + "\n".join(left)


@pytest.fixture
def own_daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon of the test's own, busybox loaded."""
    return make_daemon()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[docker.DockerClient]:
    """The docker SDK on the shared daemon."""
    made = daemon.sdk()
    yield made
    made.close()


@pytest.fixture(scope="session")
def reference() -> Iterator[Daemon]:
    """A real dockerd to compare with."""
    if reason := reference_missing():
        pytest.skip(reason)
    daemon = Dockerd()
    try:
        daemon.start()
        yield daemon
        daemon.clear()
        daemon.stop()
    finally:
        daemon.discard()
