"""Published ports: reached from where Docker's are, and from nowhere else."""

from __future__ import annotations

import asyncio
import socket

import pytest

from network.rig import ident
from network.world import ask, inside, ip, server
from wherry.lib.errors import Internal
from wherry.wire.network import NetworkCreateRequest, PortBinding


def publish(*bindings, port="80/tcp"):
    return {port: [PortBinding(host_ip=host, host_port=number) for host, number in bindings]}


async def probe(*places):
    """Ask each place, side by side with the event loop: the answer is the address that the container saw."""
    return [await asyncio.to_thread(ask, *place) for place in places]


async def test_a_published_tcp_port_is_reached_from_everywhere(daemon):
    """From the host by 127.0.0.1 and by its addresses, from outside, from the container itself and from a neighbour."""
    world = daemon.world
    one = await daemon.join("one", port_bindings=publish(("", "8080")))
    two = await daemon.join("two")
    with server(str(one.netns), 80):
        answers = await probe(
            (world.path(world.host), "127.0.0.1", 8080),
            (world.path(world.host), "198.51.100.1", 8080),
            (world.path(world.host), "172.17.0.1", 8080),
            (world.path(world.outside), "198.51.100.1", 8080),
            (str(one.netns), "198.51.100.1", 8080),
            (str(two.netns), "198.51.100.1", 8080),
            (str(two.netns), "172.17.0.2", 80),
        )
    assert answers == [
        "172.17.0.1",
        "198.51.100.1",
        "172.17.0.1",
        "198.51.100.2",
        "172.17.0.1",
        "172.17.0.1",
        "172.17.0.3",
    ]


async def test_a_published_udp_port_is_reached_from_everywhere(daemon):
    world = daemon.world
    one = await daemon.join("one", port_bindings=publish(("", "5353"), port="53/udp"))
    with server(str(one.netns), 53, kind=socket.SOCK_DGRAM):
        for namespace, address in (
            (world.path(world.host), "127.0.0.1"),
            (world.path(world.outside), "198.51.100.1"),
            (str(one.netns), "198.51.100.1"),
        ):
            assert await asyncio.to_thread(ask, namespace, address, 5353, kind=socket.SOCK_DGRAM) is not None


async def test_a_udp_client_that_goes_on_sending_reaches_the_next_container(daemon):
    """Its flow was tracked to the first one, and before that to nobody."""
    world = daemon.world
    client = inside(world.path(world.outside), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client.settimeout(1)

    def say():
        client.sendto(b"?", ("198.51.100.1", 5353))
        try:
            return client.recv(100)
        except OSError:
            return None

    assert await asyncio.to_thread(say) is None
    for name, neighbours in (("one", 0), ("two", 3)):
        for number in range(neighbours):
            await daemon.join(f"n{number}")
        sandbox = await daemon.join(name, port_bindings=publish(("", "5353"), port="53/udp"))
        with server(str(sandbox.netns), 53, kind=socket.SOCK_DGRAM):
            assert await asyncio.to_thread(say) == b"198.51.100.2"
        await daemon.leave(name)
    client.close()


async def test_a_port_on_one_host_address_answers_there_only(daemon):
    world = daemon.world
    ip(world.host, "addr", "add", "198.51.100.9/24", "dev", "up0")
    one = await daemon.join("one", port_bindings=publish(("198.51.100.9", "8080")))
    with server(str(one.netns), 80):
        answers = await probe(
            (world.path(world.outside), "198.51.100.9", 8080),
            (world.path(world.outside), "198.51.100.1", 8080),
            (world.path(world.host), "127.0.0.1", 8080),
        )
    assert answers == ["198.51.100.2", None, None]


async def test_s14_a_loopback_port_is_not_reachable_from_outside(daemon):
    """Not by a packet to 127.0.0.1, not by the host's address, not straight to the container, not from a neighbour."""
    world = daemon.world
    one = await daemon.join("one", port_bindings=publish(("127.0.0.1", "8080")))
    two = await daemon.join("two")
    ip(world.outside, "route", "add", "172.17.0.0/16", "via", "198.51.100.1")
    ip(world.outside, "addr", "del", "127.0.0.1/8", "dev", "lo")
    ip(world.outside, "route", "add", "127.0.0.1", "via", "198.51.100.1")
    with server(str(one.netns), 80):
        answers = await probe(
            (world.path(world.host), "127.0.0.1", 8080),
            (world.path(world.outside), "127.0.0.1", 8080),
            (world.path(world.outside), "198.51.100.1", 8080),
            (world.path(world.outside), "172.17.0.2", 80),
            (str(two.netns), "172.17.0.1", 8080),
        )
    assert answers == ["172.17.0.1", None, None, None, None]


async def test_an_unpublished_port_is_not_reachable_from_outside(daemon):
    world = daemon.world
    one = await daemon.join("one")
    ip(world.outside, "route", "add", "172.17.0.0/16", "via", "198.51.100.1")
    with server(str(one.netns), 80):
        answers = await probe((world.path(world.outside), "172.17.0.2", 80), (world.path(world.host), "172.17.0.2", 80))
    assert answers == [None, "172.17.0.1"]


async def test_a_port_is_gone_when_its_container_has_left(daemon):
    world = daemon.world
    await daemon.join("one", port_bindings=publish(("", "8080")))
    await daemon.leave("one")
    with server(world.path(world.host), 8080):
        assert await probe((world.path(world.host), "127.0.0.1", 8080)) == ["127.0.0.1"]


async def test_a_taken_port_is_refused_in_dockers_words_and_leaves_nothing(daemon):
    await daemon.join("one", port_bindings=publish(("", "8080")))
    with pytest.raises(Internal) as refusal:
        await daemon.join("two", port_bindings=publish(("127.0.0.1", "8080")))
    assert refusal.value.message.startswith("driver failed programming external connectivity on endpoint two (")
    assert refusal.value.message.endswith("): Bind for 127.0.0.1:8080 failed: port is already allocated")
    assert len(daemon.netns_files()) == 1
    assert not daemon.controller.room.ledger.endpoints_in(ident("two"))


async def test_a_port_of_another_program_is_refused(daemon):
    world = daemon.world
    with server(world.path(world.host), 8080), pytest.raises(Internal, match="address already in use"):
        await daemon.join("one", port_bindings=publish(("", "8080")))


async def test_another_program_cannot_take_a_published_port(daemon):
    await daemon.join("one", port_bindings=publish(("", "8080")))
    world = daemon.world
    with pytest.raises(OSError, match="Address already in use"), server(world.path(world.host), 8080):
        pass


async def test_unnamed_host_ports_are_allocated(daemon):
    sandbox = await daemon.join(
        "one",
        exposed_ports=("80/tcp", "81/udp", "82/tcp"),
        publish_all=True,
        port_bindings=publish(("", "9000-9002"), port="82/tcp"),
    )
    ports = {key: [(one.host_ip, one.host_port) for one in value or ()] for key, value in sandbox.ports.items()}
    assert ports == {
        "80/tcp": [("0.0.0.0", "32768")],
        "81/udp": [("0.0.0.0", "32769")],
        "82/tcp": [("0.0.0.0", "9000")],
    }


async def test_containers_reach_out_by_the_hosts_address(daemon):
    world = daemon.world
    one = await daemon.join("one")
    with server(world.path(world.outside), 80):
        assert await probe((str(one.netns), "198.51.100.2", 80)) == ["198.51.100.1"]


async def test_a_network_with_ipv6_publishes_on_both(daemon):
    world = daemon.world
    ip(world.host, "addr", "add", "2001:db8::1/64", "dev", "up0", "nodad")
    ip(world.outside, "addr", "add", "2001:db8::2/64", "dev", "up0", "nodad")
    await daemon.controller.create_network(NetworkCreateRequest(name="six", enable_ipv6=True))
    one = await daemon.join("one", mode="six", port_bindings=publish(("", "8080")))
    assert [port.host_ip for port in one.ports["80/tcp"]] == ["0.0.0.0", "::"]
    six = socket.AF_INET6
    with server(str(one.netns), 80, family=six, address="::"):
        outside = await asyncio.to_thread(ask, world.path(world.outside), "2001:db8::1", 8080, family=six, timeout=5)
    assert outside == "2001:db8::2"
