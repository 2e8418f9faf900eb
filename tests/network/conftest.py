"""A host made of namespaces, and a controller on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from network.rig import Daemon
from network.world import World


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.root)
            item.add_marker(pytest.mark.net)


@pytest.fixture
def world():
    world = World()
    yield world
    world.close()


@pytest.fixture
async def daemon(world, tmp_path):
    daemon = Daemon(world, tmp_path)
    await daemon.start()
    yield daemon
    for container in daemon.controller.room.ledger.containers():
        await daemon.controller.leave(container)
    left = daemon.netns_files()
    links = {link for link in await daemon.links() if link.startswith("veth")}
    await daemon.stop()
    assert not left
    assert not links
