"""A running container joins and leaves networks."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from network.rig import ident
from network.world import ask, server
from wherry.lib.errors import Forbidden, Internal, InvalidArgument, NotFound
from wherry.wire.network import (
    IPAM,
    EndpointIPAMConfig,
    EndpointSettings,
    IPAMConfig,
    NetworkCreateRequest,
    PortBinding,
)

PORTS = {"80/tcp": [PortBinding(host_port="8080")]}


def routes(namespace):
    out = subprocess.run(
        ["nsenter", f"--net={namespace}", "ip", "route"], check=True, capture_output=True, text=True
    ).stdout
    return [line.strip() for line in out.splitlines()]


async def make(daemon, name, **request):
    return await daemon.controller.create_network(NetworkCreateRequest(name=name, **request))


async def test_connect_adds_an_interface_and_a_line_in_hosts(daemon):
    await make(daemon, "second")
    one = await daemon.join("one")
    two = await daemon.controller.connect(ident("one"), "second", EndpointSettings(aliases=["web"]))
    assert two.endpoints["second"].ip_address == "172.18.0.2"
    assert two.endpoints["second"].dns_names == ["one", "web", ident("one")[:12]]
    own = f"172.18.0.2\tone\n172.18.0.2\tone web {ident('one')[:12]}\n"
    assert two.hosts == one.hosts + own.encode()
    assert "172.18.0.0/16 dev eth1 proto kernel scope link src 172.18.0.2" in routes(one.netns)
    assert "default via 172.17.0.1 dev eth0" in routes(one.netns)[0]


async def test_the_gateway_and_the_ports_move_to_the_network_that_comes_first(daemon):
    """Docker's rule: priority, then the network's name."""
    await make(daemon, "alpha")
    one = await daemon.join("one", port_bindings=PORTS)
    world = daemon.world
    after = await daemon.controller.connect(ident("one"), "alpha", EndpointSettings())
    assert after.ports == one.ports
    assert "default via 172.18.0.1 dev eth1" in routes(one.netns)[0]
    with server(str(one.netns), 80):
        assert await asyncio.to_thread(ask, world.path(world.host), "127.0.0.1", 8080) == "172.18.0.1"
    back = await daemon.controller.disconnect(ident("one"), "alpha")
    assert back.ports == one.ports
    assert "default via 172.17.0.1 dev eth0" in routes(one.netns)[0]
    with server(str(one.netns), 80):
        assert await asyncio.to_thread(ask, world.path(world.host), "127.0.0.1", 8080) == "172.17.0.1"


async def test_gw_priority_beats_the_name(daemon):
    await make(daemon, "zeta")
    one = await daemon.join("one", endpoints={"zeta": EndpointSettings(gw_priority=1)})
    assert "default via 172.18.0.1 dev eth1" in routes(one.netns)[0]


async def test_disconnected_from_everything_and_back(daemon):
    one = await daemon.join("one", port_bindings=PORTS)
    none = await daemon.controller.disconnect(ident("one"), "bridge")
    assert (none.endpoints, none.ports) == ({}, {})
    assert none.netns == one.netns
    assert routes(one.netns) == []
    again = await daemon.controller.connect(ident("one"), "bridge", EndpointSettings())
    assert again.ports == one.ports
    world = daemon.world
    with server(str(one.netns), 80):
        assert await asyncio.to_thread(ask, world.path(world.host), "127.0.0.1", 8080) == "172.17.0.1"


async def test_connect_refuses_in_dockers_words(daemon):
    await make(daemon, "second")
    await make(daemon, "mine", ipam=IPAM(config=[IPAMConfig(subnet="10.8.0.0/24")]))
    await daemon.join("one")
    await daemon.join("hosted", mode="host")

    async def refused(kind, words, container, network, **settings):
        with pytest.raises(kind) as refusal:
            await daemon.controller.connect(ident(container), network, EndpointSettings(**settings))
        assert refusal.value.message == words

    await refused(NotFound, "network nope not found", "one", "nope")
    await refused(Forbidden, "endpoint with name one already exists in network bridge", "one", "bridge")
    await refused(
        InvalidArgument,
        "container cannot be disconnected from host network or connected to host network",
        "one",
        "host",
    )
    await refused(
        InvalidArgument,
        "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        "one",
        "none",
    )
    await refused(
        InvalidArgument,
        "user specified IP address is supported only when connecting to networks with user configured subnets",
        "one",
        "second",
        ipam_config=EndpointIPAMConfig(ipv4_address="172.18.0.9"),
    )
    await refused(
        InvalidArgument,
        "Invalid address 10.9.0.9: It does not belong to any of this network's subnets",
        "one",
        "mine",
        ipam_config=EndpointIPAMConfig(ipv4_address="10.9.0.9"),
    )
    await refused(
        Forbidden,
        "Address already in use",
        "one",
        "mine",
        ipam_config=EndpointIPAMConfig(ipv4_address="10.8.0.1"),
    )
    with pytest.raises(Internal, match=f"container {ident('one')} is not connected to network second"):
        await daemon.controller.disconnect(ident("one"), "second")


async def test_a_failed_connect_leaves_the_container_as_it_was(daemon):
    one = await daemon.join("one")
    await make(daemon, "mine", ipam=IPAM(config=[IPAMConfig(subnet="10.8.0.0/24")]))
    with pytest.raises(Forbidden):
        await daemon.controller.connect(
            ident("one"), "mine", EndpointSettings(ipam_config=EndpointIPAMConfig(ipv4_address="10.8.0.1"))
        )
    assert daemon.controller.sandbox(ident("one")) == one
    assert len([link for link in daemon.world.links() if link.startswith("veth")]) == 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"exposed_ports": ("x/tcp",)}, 'invalid port specification: "x"'),
        ({"port_bindings": {"80/foo": []}}, "invalid proto: foo"),
        ({"extra_hosts": ("nonsense",)}, 'bad format for add-host: "nonsense"'),
        ({"mode": "nope"}, "network nope not found"),
    ],
)
async def test_a_request_that_makes_no_sense_leaves_nothing(daemon, asked, words):
    with pytest.raises((InvalidArgument, NotFound)) as refusal:
        await daemon.join("one", **asked)
    assert refusal.value.message == words
    assert daemon.netns_files() == []


async def test_modes(daemon):
    none = await daemon.join("none", mode="none")
    host = await daemon.join("host", mode="host")
    assert list(none.endpoints) == ["none"]
    assert none.netns is not None
    assert none.hosts.endswith(b"ff02::2\tip6-allrouters\n")
    assert list(host.endpoints) == ["host"]
    assert host.netns is None
    assert host.sandbox_key.endswith("/default")


async def test_events_are_told(daemon):
    await make(daemon, "second")
    await daemon.join("one")
    await daemon.controller.connect(ident("one"), "second", EndpointSettings())
    await daemon.controller.disconnect(ident("one"), "second")
    await daemon.leave("one")
    await daemon.controller.remove_network("second")
    told = [(action, attributes["name"]) for _, action, _, attributes in daemon.events.seen]
    assert told == [
        ("create", "second"),
        ("connect", "bridge"),
        ("connect", "second"),
        ("disconnect", "second"),
        ("disconnect", "bridge"),
        ("destroy", "second"),
    ]
    assert daemon.events.seen[1][3] == {"container": ident("one"), "name": "bridge", "type": "bridge"}


async def test_a_network_with_containers_is_not_removed(daemon):
    second = await make(daemon, "second")
    await daemon.join("one", mode="second")
    with pytest.raises(Forbidden) as refusal:
        await daemon.controller.remove_network("second")
    assert refusal.value.message == (
        f"error while removing network: network second id {second.id} has active endpoints"
    )
    for name in ("bridge", "host", "none"):
        with pytest.raises(Forbidden, match=f"{name} is a pre-defined network and cannot be removed"):
            await daemon.controller.remove_network(name)
    await daemon.leave("one")
    await daemon.controller.remove_network(second.id[:5])
    assert f"br-{second.id[:12]}" not in daemon.world.links()


async def test_names_on_a_network_follow_who_is_there(daemon):
    """Without waiting: a container's files are written when its neighbours come, are renamed and go."""
    told = asyncio.Queue()

    async def tell(container_id, sandbox):
        await told.put((container_id, sandbox.hosts.decode().splitlines()))

    daemon.controller.neighbours.listen(tell)
    await make(daemon, "second")
    await daemon.join("one", mode="second")
    two = await daemon.join("two", mode="second", endpoints={"second": EndpointSettings(aliases=["web"])})
    assert f"172.18.0.2\tone {ident('one')[:12]}" in two.hosts.decode().splitlines()
    who, lines = await asyncio.wait_for(told.get(), 5)
    assert who == ident("one")
    assert f"172.18.0.3\ttwo web {ident('two')[:12]}" in lines
    await daemon.controller.rename(ident("two"), "deux")
    _, lines = await asyncio.wait_for(told.get(), 5)
    assert any(line.startswith("172.18.0.3\tdeux web") for line in lines)
    await daemon.leave("two")
    who, lines = await asyncio.wait_for(told.get(), 5)
    assert who == ident("one")
    assert not any("172.18.0.3" in line for line in lines)
    assert told.empty()


async def test_the_default_bridge_has_no_names(daemon):
    await daemon.join("one")
    two = await daemon.join("two")
    assert "one" not in two.hosts.decode()
