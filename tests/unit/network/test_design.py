"""A network from what was asked."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from wherry.lib.errors import Conflict, Forbidden, InvalidArgument, NotBuilt, NotFound, Unavailable
from wherry.network.design import default_bridge, design_network
from wherry.network.ledger import Ledger, read_network
from wherry.network.model import NetworkConfig
from wherry.wire.network import IPAM, ConfigReference, IPAMConfig, NetworkCreateRequest

SWARMLESS = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)
CONFIG = NetworkConfig(netns_dir=Path("/nowhere"))


def design(existing=(), in_use=(), **request):
    return design_network(
        NetworkCreateRequest(**request), existing=existing, in_use=in_use, config=CONFIG, now=1_000_000_000
    )


def test_a_plain_network_takes_the_first_pool_that_is_free_on_the_machine_too():
    first = design(name="a")
    second = design(name="b", existing=[first], in_use=[IPv4Network("172.18.0.0/16")])
    assert [str(network.pool4.subnet) for network in (first, second)] == ["172.17.0.0/16", "172.19.0.0/16"]
    assert first.record.ipam.config == [IPAMConfig(subnet="172.17.0.0/16", gateway="172.17.0.1")]
    assert not first.record.chosen_by_user


def test_a_record_reads_back_as_the_same_network():
    ipam = IPAM(
        config=[
            IPAMConfig(subnet="10.1.0.0/24", ip_range="10.1.0.128/25", auxiliary_addresses={"r": "10.1.0.200"}),
            IPAMConfig(subnet="fd00:1::/64"),
        ]
    )
    network = design(name="a", ipam=ipam, enable_ipv6=True, labels={"x": "y"})
    assert read_network(network.record) == network
    assert (network.record.enable_ipv4, network.record.enable_ipv6, network.record.chosen_by_user) == (True,) * 3


def test_ipv6_without_a_subnet_gets_a_local_one():
    network = design(name="a", enable_ipv6=True)
    assert network.pool6.subnet.is_private
    assert network.pool6.subnet.prefixlen == 64


@pytest.mark.parametrize(
    ("request_fields", "kind", "words"),
    [
        ({"name": " "}, InvalidArgument, "invalid name: "),
        ({"name": "bridge"}, Forbidden, "operation is not permitted on predefined bridge network "),
        ({"name": "taken"}, Conflict, "network with name taken already exists"),
        ({"name": "n", "driver": "bogus"}, NotFound, 'plugin "bogus" not found'),
        ({"name": "n", "driver": "host"}, Forbidden, 'only one instance of "host" network is allowed'),
        ({"name": "n", "driver": "macvlan"}, NotBuilt, "macvlan networks are not built"),
        ({"name": "n", "config_from": ConfigReference(network="x")}, NotBuilt, "config-only networks are not built"),
        (
            {"name": "n", "driver": "overlay"},
            Unavailable,
            SWARMLESS,
        ),
        ({"name": "n", "ipam": IPAM(driver="nope")}, NotFound, 'plugin "nope" not found'),
        (
            {"name": "n", "ipam": IPAM(config=[IPAMConfig(subnet="172.17.5.0/24")])},
            Forbidden,
            "Pool overlaps with other one on this address space",
        ),
        ({"name": "n", "enable_ipv4": False}, InvalidArgument, "IPv4 or IPv6 must be enabled"),
    ],
)
def test_refusals_are_dockers(request_fields, kind, words):
    with pytest.raises(kind) as refusal:
        design(existing=[design(name="taken")], **request_fields)
    assert refusal.value.message == words


def test_the_default_bridge_follows_the_configuration():
    plain = default_bridge(CONFIG, existing=(), in_use=[IPv4Network("172.17.0.0/16")], now=1)
    assert str(plain.pool4.gateway) == "172.18.0.1"
    told = NetworkConfig(
        netns_dir=Path("/nowhere"),
        bip=IPv4Interface("10.9.0.254/16"),
        fixed_cidr=IPv4Network("10.9.3.0/24"),
        bridge="b0",
    )
    asked = default_bridge(told, existing=(), in_use=(), now=1)
    assert (str(asked.pool4.gateway), str(asked.pool4.range)) == ("10.9.0.254", "10.9.3.0/24")
    assert asked.record.options["com.docker.network.bridge.name"] == "b0"


def test_networks_are_found_by_name_id_and_prefix():
    ledger = Ledger()
    one, two = design(name="one"), design(name="two")
    ledger.put_network(one)
    ledger.put_network(two)
    assert ledger.network("one") is one
    assert ledger.network(two.id) is two
    assert ledger.network(two.id[:20]) is two
    for missing in ("three", ""):
        with pytest.raises(NotFound, match=f"network {missing} not found"):
            ledger.network(missing)
