"""The daemon is killed and comes back: what lives is adopted, what does not is removed."""

from __future__ import annotations

import asyncio
import errno
import socket

from network.rig import Daemon, ident
from network.world import ask, inside, ip, server
from wherry.wire.network import NetworkCreateRequest, PortBinding

PORTS = {"80/tcp": [PortBinding(host_port="8080")]}


def host_ports_taken(world, port):
    def bind():
        with socket.socket() as sock:
            try:
                sock.bind(("0.0.0.0", port))
            except OSError as error:
                return error.errno == errno.EADDRINUSE
        return False

    return inside(world.path(world.host), bind)


async def test_r1_a_live_container_is_adopted_and_a_dead_one_removed(world, tmp_path):
    daemon = Daemon(world, tmp_path)
    await daemon.start()
    live = await daemon.join("live", port_bindings=PORTS)
    await daemon.join("dead", port_bindings={"80/tcp": [PortBinding(host_port="8081")]})
    await daemon.kill()
    found = await daemon.start(live=[ident("live")])
    assert found == {ident("live"): live}
    assert daemon.netns_files() == [live.netns]
    assert host_ports_taken(world, 8080)
    assert not host_ports_taken(world, 8081)
    with server(str(live.netns), 80):
        assert await asyncio.to_thread(ask, world.path(world.outside), "198.51.100.1", 8080) == "198.51.100.2"
    other = await daemon.join("other")
    assert other.endpoints["bridge"].ip_address == "172.17.0.3"
    await daemon.leave("live")
    await daemon.leave("other")
    assert await daemon.links() == {"wt0"}
    await daemon.stop()


async def test_networks_outlive_the_daemon(world, tmp_path):
    daemon = Daemon(world, tmp_path)
    await daemon.start()
    made = await daemon.controller.create_network(NetworkCreateRequest(name="mine", labels={"a": "b"}))
    before = {network.name: network.record for network in daemon.controller.networks()}
    await daemon.kill()
    ip(world.host, "link", "del", f"br-{made.id[:12]}")
    await daemon.start()
    assert {network.name: network.record for network in daemon.controller.networks()} == before
    assert f"br-{made.id[:12]}" in await daemon.links()
    await daemon.stop()


async def test_r1_what_a_join_left_half_made_is_removed(world, tmp_path):
    """Links on our bridge and namespaces in our directory that no record speaks of."""
    daemon = Daemon(world, tmp_path)
    await daemon.start()
    (await daemon.factory.netns(daemon.config.netns_dir / "0123456789ab", create=True)).close()
    ip(world.host, "link", "add", "vethabcdef0", "type", "veth", "peer", "name", "loose0")
    ip(world.host, "link", "set", "vethabcdef0", "master", "wt0")
    await daemon.kill()
    await daemon.start()
    assert daemon.netns_files() == []
    assert await daemon.links() == {"wt0"}
    await daemon.stop()


async def test_r7_a_port_is_free_again_after_a_crash(world, tmp_path):
    daemon = Daemon(world, tmp_path)
    await daemon.start()
    await daemon.join("one", port_bindings=PORTS)
    await daemon.kill()
    await daemon.start()
    again = await daemon.join("two", port_bindings=PORTS)
    assert again.ports["80/tcp"] == [PortBinding(host_ip="0.0.0.0", host_port="8080")]
    await daemon.leave("two")
    await daemon.stop()


async def test_a_container_without_networks_is_adopted(world, tmp_path):
    daemon = Daemon(world, tmp_path)
    await daemon.start()
    one = await daemon.join("one")
    await daemon.controller.disconnect(ident("one"), "bridge")
    await daemon.kill()
    found = await daemon.start(live=[ident("one")])
    assert found[ident("one")].netns == one.netns
    assert found[ident("one")].endpoints == {}
    await daemon.controller.connect(ident("one"), "bridge", one.endpoints["bridge"])
    assert daemon.controller.sandbox(ident("one")).endpoints["bridge"].ip_address == "172.17.0.2"
    await daemon.leave("one")
    await daemon.stop()


async def test_the_default_bridge_moves_when_told_to(world, tmp_path):
    from ipaddress import IPv4Interface

    daemon = Daemon(world, tmp_path)
    await daemon.start()
    before = daemon.controller.network("bridge")
    await daemon.stop()
    moved = Daemon(world, tmp_path, bip=IPv4Interface("10.77.0.1/24"))
    await moved.start()
    after = moved.controller.network("bridge")
    assert after.id == before.id
    one = await moved.join("one")
    assert one.endpoints["bridge"].gateway == "10.77.0.1"
    assert one.endpoints["bridge"].ip_address == "10.77.0.2"
    await moved.leave("one")
    await moved.stop()
