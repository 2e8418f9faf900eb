"""Who may talk to whom."""

from __future__ import annotations

import asyncio

from network.rig import Daemon
from network.world import ask, ip, server
from wherry.wire.network import NetworkCreateRequest, PortBinding


async def reach(source, address, port=80):
    return await asyncio.to_thread(ask, source, address, port)


async def test_networks_are_apart(daemon):
    await daemon.controller.create_network(NetworkCreateRequest(name="other"))
    one, two = await daemon.join("one"), await daemon.join("two", mode="other")
    with server(str(two.netns), 80):
        assert await reach(str(one.netns), two.endpoints["other"].ip_address) is None


async def test_a_port_published_on_another_network_is_reached_by_the_host(daemon):
    await daemon.controller.create_network(NetworkCreateRequest(name="other"))
    one = await daemon.join("one")
    two = await daemon.join("two", mode="other", port_bindings={"80/tcp": [PortBinding(host_port="8080")]})
    with server(str(two.netns), 80):
        assert await reach(str(one.netns), "198.51.100.1", 8080) == one.endpoints["bridge"].ip_address


async def test_an_internal_network_is_closed_both_ways(daemon):
    world = daemon.world
    await daemon.controller.create_network(NetworkCreateRequest(name="inner", internal=True))
    one, two = await daemon.join("one", mode="inner"), await daemon.join("two", mode="inner")
    address = two.endpoints["inner"].ip_address
    assert one.endpoints["inner"].gateway == ""
    ip(world.outside, "route", "add", "172.16.0.0/12", "via", "198.51.100.1")
    with server(str(two.netns), 80), server(world.path(world.outside), 80):
        assert await reach(str(one.netns), address) == one.endpoints["inner"].ip_address
        assert await reach(world.path(world.outside), address) is None
        assert await reach(str(one.netns), "198.51.100.2") is None


async def test_icc_off_keeps_neighbours_apart_but_not_the_host(daemon):
    options = {"com.docker.network.bridge.enable_icc": "false"}
    await daemon.controller.create_network(NetworkCreateRequest(name="shy", options=options))
    one, two = await daemon.join("one", mode="shy"), await daemon.join("two", mode="shy")
    address = two.endpoints["shy"].ip_address
    with server(str(two.netns), 80):
        assert await reach(str(one.netns), address) is None
        assert await reach(daemon.world.path(daemon.world.host), address) is not None


async def test_containers_do_not_reach_the_hosts_loopback(daemon):
    """route_localnet lets 127.0.0.1 out to the bridge; nothing may come in by it."""
    world = daemon.world
    one = await daemon.join("one")
    ns = str(one.netns)
    await asyncio.to_thread(_route_loopback_to_gateway, ns)
    with server(world.path(world.host), 8080, address="127.0.0.1"):
        assert await reach(ns, "127.0.0.1", 8080) is None


def _route_loopback_to_gateway(namespace):
    import subprocess

    enter = ["nsenter", f"--net={namespace}"]
    for words in (
        ["ip", "addr", "del", "127.0.0.1/8", "dev", "lo"],
        ["ip", "route", "add", "127.0.0.1", "via", "172.17.0.1"],
        ["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"],
    ):
        subprocess.run([*enter, *words], check=True, capture_output=True)


async def test_two_daemons_live_side_by_side(daemon, tmp_path):
    """Other bridge, other table, other pool: each one's ports work, and one's end does not touch the other."""
    other = Daemon(daemon.world, tmp_path / "other")
    other.directory.mkdir()
    other.config = type(other.config)(netns_dir=tmp_path / "other/netns", bridge="wt1", table="wherry-two")
    await other.start()
    one = await daemon.join("one", port_bindings={"80/tcp": [PortBinding(host_port="8080")]})
    two = await other.join("two", port_bindings={"80/tcp": [PortBinding(host_port="8081")]})
    assert two.endpoints["bridge"].gateway == "172.18.0.1"
    outside = daemon.world.path(daemon.world.outside)
    with server(str(one.netns), 80), server(str(two.netns), 80):
        assert await reach(outside, "198.51.100.1", 8080) == "198.51.100.2"
        assert await reach(outside, "198.51.100.1", 8081) == "198.51.100.2"
    await other.leave("two")
    await other.stop()
