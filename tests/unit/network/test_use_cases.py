"""``engine.networks`` on a controller that is not there: lists, filters, and which container is asked for what."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.engine.networks import SHARED, ContainerInfo, Networks
from wherry.lib.errors import Forbidden, Internal, InvalidArgument, NotFound
from wherry.lib.filters import Filters
from wherry.network.design import default_bridge, design_network, plain_network
from wherry.network.ledger import Ledger
from wherry.network.model import NetworkConfig
from wherry.network.neighbours import Neighbours
from wherry.wire.network import (
    ConnectRequest,
    DisconnectRequest,
    EndpointIPAMConfig,
    EndpointSettings,
    NetworkCreateRequest,
)

CONFIG = NetworkConfig(netns_dir=Path("/nowhere"))


class Controller:
    def __init__(self):
        self.ledger = Ledger()
        for network in (
            plain_network("none", "null", 1),
            plain_network("host", "host", 1),
            default_bridge(CONFIG, existing=(), in_use=(), now=1),
        ):
            self.ledger.put_network(network)
        for name, labels in (("front", {"tier": "web"}), ("back", {})):
            request = NetworkCreateRequest(name=name, labels=labels)
            self.ledger.put_network(
                design_network(request, existing=self.ledger.networks(), in_use=(), config=CONFIG, now=2 * 10**9)
            )
        self.busy = set()
        self.neighbours = Neighbours(lambda _: None)
        self.networks, self.network = self.ledger.networks, self.ledger.network

    def endpoints(self, network):
        return [object()] if network.name in self.busy else []

    async def remove_network(self, key):
        network = self.network(key)
        if network.name in self.busy:
            raise Forbidden("busy")
        self.ledger.drop_network(network.id)
        return network


class Directory:
    def __init__(self, **fields):
        self.container = ContainerInfo(
            **{"id": "c" * 64, "name": "c", "running": False, "network_mode": "bridge", "endpoints": {}, **fields}
        )
        self.set = []

    def find(self, key):
        if key != "c":
            raise NotFound(f"No such container: {key}")
        return self.container

    async def set_endpoint(self, _, network, settings):
        self.set.append((network, settings))

    async def set_sandbox(self, *_):
        raise AssertionError("not running")


class Events:
    def __init__(self):
        self.seen = []

    def emit(self, kind, action, actor, attributes):
        self.seen.append((kind, action, actor, attributes))


def make(**fields):
    controller, directory, events = Controller(), Directory(**fields), Events()
    return Networks(controller, directory, events), controller, directory, events


def names(networks, **terms):
    return [item.name for item in networks.list(Filters({key: tuple(value) for key, value in terms.items()}))]


def test_lists_are_filtered():
    networks, controller, _, _ = make()
    controller.busy.add("front")
    everything = ["none", "host", "bridge", "front", "back"]
    assert names(networks) == everything
    assert names(networks, driver=["bridge"]) == ["bridge", "front", "back"]
    assert names(networks, type=["custom"]) == ["front", "back"]
    assert names(networks, type=["builtin"]) == ["none", "host", "bridge"]
    assert names(networks, label=["tier=web"]) == ["front"]
    assert names(networks, name=["ro", "back"]) == ["front", "back"]
    assert names(networks, id=[controller.network("back").id[:12]]) == ["back"]
    assert names(networks, dangling=["true"]) == ["back"]
    assert names(networks, dangling=["0"]) == ["none", "host", "bridge", "front"]
    assert names(networks, scope=["local"]) == everything
    assert names(networks, scope=["swarm"]) == []


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"foo": ("a",)}, "invalid filter 'foo'"),
        ({"type": ("a",)}, "invalid filter: 'type'='a'"),
        (
            {"dangling": ("maybe",)},
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
        ),
    ],
)
def test_bad_filters_are_refused(terms, words):
    networks, _, _, _ = make()
    with pytest.raises(InvalidArgument) as refusal:
        networks.list(Filters(terms))
    assert refusal.value.message == words


async def test_a_stopped_container_keeps_what_it_will_ask_for():
    networks, _, directory, _ = make()
    await networks.connect("front", ConnectRequest(container="c", endpoint_config=EndpointSettings(aliases=["web"])))
    assert directory.set == [("front", EndpointSettings(aliases=["web"]))]


@pytest.mark.parametrize(
    ("fields", "network", "settings", "words"),
    [
        (
            {"network_mode": "host"},
            "front",
            {},
            SHARED,
        ),
        (
            {"endpoints": {"bridge": EndpointSettings()}},
            "host",
            {},
            "container cannot be disconnected from host network or connected to host network",
        ),
        (
            {"endpoints": {"bridge": EndpointSettings()}},
            "none",
            {},
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        ),
        (
            {},
            "bridge",
            {"ipam_config": EndpointIPAMConfig(ipv4_address="172.17.0.9")},
            "user specified IP address is supported on user defined networks only",
        ),
    ],
)
async def test_connecting_a_stopped_container_is_refused_in_dockers_words(fields, network, settings, words):
    networks, _, directory, _ = make(**fields)
    with pytest.raises(InvalidArgument) as refusal:
        await networks.connect(network, ConnectRequest(container="c", endpoint_config=EndpointSettings(**settings)))
    assert refusal.value.message == words
    assert directory.set == []


async def test_disconnecting_a_stopped_container():
    networks, _, directory, _ = make(endpoints={"front": EndpointSettings()})
    await networks.disconnect("front", DisconnectRequest(container="c"))
    assert directory.set == [("front", None)]
    with pytest.raises(Internal, match=f"container {'c' * 64} is not connected to the network back"):
        await networks.disconnect("back", DisconnectRequest(container="c"))
    with pytest.raises(InvalidArgument, match='invalid name or ID supplied: ""'):
        await networks.disconnect("back", DisconnectRequest())
    with pytest.raises(NotFound, match="No such container: d"):
        await networks.disconnect("back", DisconnectRequest(container="d"))


async def test_prune_takes_what_is_unused_and_custom():
    networks, controller, _, events = make()
    controller.busy.add("front")
    assert (await networks.prune(Filters({"label": ("nope",)}))).networks_deleted is None
    assert (await networks.prune()).networks_deleted == ["back"]
    assert names(networks) == ["none", "host", "bridge", "front"]
    assert events.seen[-1] == ("network", "prune", "", {"reclaimed": "0"})


def test_inspect_of_another_scope_finds_nothing():
    networks, _, _, _ = make()
    assert networks.inspect("front", scope="local").name == "front"
    with pytest.raises(NotFound, match="network front not found"):
        networks.inspect("front", scope="swarm")
