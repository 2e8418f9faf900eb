"""Nothing is lost over time: addresses, links, namespaces, the firewall."""

from __future__ import annotations

import asyncio

import pytest

from network.rig import Daemon
from network.world import ask, ip, server, sh
from wherry.lib.errors import Forbidden, Internal
from wherry.wire.network import IPAM, IPAMConfig, NetworkCreateRequest, PortBinding

PORTS = {"80/tcp": [PortBinding(host_port="8080")]}


def ruleset(world):
    return sh(world.host, "nft", "list", "table", "inet", "wherry-test").stdout


async def settled(condition, seconds=3.0):
    """Whether ``condition`` comes true in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        if await condition():
            return True
        await asyncio.sleep(0.02)
    return False


async def test_200_joins_leave_nothing(daemon):
    before = ruleset(daemon.world)
    for number in range(100):
        await daemon.join("a", port_bindings=PORTS)
        await daemon.join("b", mode="none" if number % 2 else "bridge")
        await daemon.leave("a")
        await daemon.leave("b")
    assert daemon.netns_files() == []
    assert await daemon.links() == {"wt0"}
    assert ruleset(daemon.world) == before
    assert daemon.controller.room.store.endpoints() == []


async def test_r6_addresses_in_a_small_network_come_back(daemon):
    """A /29 has five addresses for containers; they can be had again and again, and never a sixth."""
    await daemon.controller.create_network(
        NetworkCreateRequest(name="small", ipam=IPAM(config=[IPAMConfig(subnet="10.9.0.0/29")]))
    )
    for _ in range(3):
        names = [f"c{number}" for number in range(5)]
        addresses = [(await daemon.join(name, mode="small")).endpoints["small"].ip_address for name in names]
        assert addresses == [f"10.9.0.{number}" for number in range(2, 7)]
        with pytest.raises(Forbidden, match="no available IPv4 addresses on this network's address pools: small"):
            await daemon.join("more", mode="small")
        for name in names:
            await daemon.leave(name)


async def test_joins_at_once_get_different_addresses(daemon):
    sandboxes = await asyncio.gather(*(daemon.join(f"c{number}") for number in range(8)))
    assert len({sandbox.endpoints["bridge"].ip_address for sandbox in sandboxes}) == 8


async def test_a_cancelled_join_leaves_nothing(daemon):
    for delay in (0.0, 0.002, 0.004, 0.006, 0.01):
        task = asyncio.create_task(daemon.join("one", port_bindings=PORTS))
        await asyncio.sleep(delay)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        else:
            await daemon.leave("one")
        assert daemon.netns_files() == []
        assert not daemon.controller.room.ledger.containers()
        assert daemon.controller.room.store.endpoints() == []
    assert await daemon.links() == {"wt0"}


async def test_a_namespace_that_cannot_be_made_is_an_error(daemon):
    daemon.factory.fail = True
    with pytest.raises(Internal, match="no namespace for you"):
        await daemon.join("one")
    daemon.factory.fail = False
    assert daemon.netns_files() == []


async def test_a_link_kept_alive_by_another_process_is_removed(daemon):
    """``--network container:x`` may outlive x: the link must go although the namespace stays."""
    one = await daemon.join("one")
    handle = await daemon.factory.netns(one.netns, create=False)
    await daemon.leave("one")

    async def gone():
        return not any(link.startswith("veth") for link in daemon.world.links())

    assert await settled(gone)
    handle.close()


@pytest.mark.parametrize(
    "damage",
    [
        ("flush", "ruleset"),
        ("delete", "table", "inet", "wherry-test"),
        ("flush", "table", "inet", "wherry-test"),
        ("flush", "chain", "inet", "wherry-test", "published"),
    ],
)
async def test_r9_the_firewall_heals_by_itself(daemon, damage):
    world = daemon.world
    one = await daemon.join("one", port_bindings=PORTS)
    before = ruleset(world)
    assert sh(world.host, "nft", *damage).returncode == 0

    async def healed():
        return ruleset(world) == before

    assert await settled(healed)
    with server(str(one.netns), 80):
        assert await asyncio.to_thread(ask, world.path(world.outside), "198.51.100.1", 8080) == "198.51.100.2"


async def test_r9_containers_start_while_the_ruleset_is_flushed_in_a_loop(daemon):
    world = daemon.world
    stop = asyncio.Event()

    async def flush():
        while not stop.is_set():
            await asyncio.to_thread(sh, world.host, "nft", "flush", "ruleset")

    flusher = asyncio.create_task(flush())
    ports = [8080 + number for number in range(10)]
    sandboxes = [
        await daemon.join(f"c{port}", port_bindings={"80/tcp": [PortBinding(host_port=str(port))]}) for port in ports
    ]
    stop.set()
    await flusher

    async def all_there():
        return all(f"tcp . {port} :" in ruleset(world) for port in ports)

    assert await settled(all_there)
    with server(str(sandboxes[3].netns), 80):
        assert await asyncio.to_thread(ask, world.path(world.host), "127.0.0.1", 8083) == "172.17.0.1"


async def test_foreign_tables_are_not_touched(daemon):
    world = daemon.world
    sh(world.host, "nft", "add table ip theirs; add chain ip theirs c; add rule ip theirs c counter accept")
    theirs = sh(world.host, "nft", "list", "table", "ip", "theirs").stdout
    await daemon.join("one", port_bindings=PORTS)
    sh(world.host, "nft", "flush", "table", "inet", "wherry-test")
    await asyncio.sleep(0.2)
    await daemon.leave("one")
    assert sh(world.host, "nft", "list", "table", "ip", "theirs").stdout == theirs


async def test_a_bridge_that_was_there_before_stays(daemon):
    world = daemon.world
    ip(world.host, "link", "add", "admins0", "type", "bridge")
    options = {"com.docker.network.bridge.name": "admins0"}
    await daemon.controller.create_network(NetworkCreateRequest(name="theirs", options=options))
    await daemon.join("one", mode="theirs")
    await daemon.leave("one")
    await daemon.controller.remove_network("theirs")
    assert "admins0" in world.links()


async def test_spare_namespaces_are_used_and_dropped(world, tmp_path):

    daemon = Daemon(world, tmp_path, spare_namespaces=2)
    await daemon.start()

    async def stocked():
        return len(daemon.netns_files()) == 2

    assert await settled(stocked)
    spare = daemon.netns_files()
    one = await daemon.join("one")
    assert one.netns in spare
    assert one.sandbox_id.startswith(one.netns.name)
    await daemon.leave("one")
    await daemon.stop()
    assert daemon.netns_files() == []
