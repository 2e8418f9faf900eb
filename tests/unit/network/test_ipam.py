"""Pools and addresses: Docker's order, Docker's words, and nothing given twice."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.lib.errors import Forbidden, InvalidArgument, NotFound
from wherry.network.ipam import allocate, choose_subnet, default_mac, overlaps, parse_mac, parse_subnet, read_pool
from wherry.network.model import DEFAULT_POOLS
from wherry.wire.network import IPAMConfig

small_networks = st.builds(
    lambda base, length: IPv4Network((base, length), strict=False),
    st.integers(0x0A000000, 0x0AFFFFFF),
    st.integers(24, 29),
)


def test_default_pools_come_in_dockers_order():
    taken = []
    for _ in range(31):
        taken.append(choose_subnet(DEFAULT_POOLS, taken))
    assert [str(network) for network in taken[:4]] == [
        "172.17.0.0/16",
        "172.18.0.0/16",
        "172.19.0.0/16",
        "172.20.0.0/16",
    ]
    assert str(taken[14]) == "172.31.0.0/16"
    assert str(taken[15]) == "192.168.0.0/20"
    with pytest.raises(NotFound, match="non-overlapping IPv4 address pool"):
        choose_subnet(DEFAULT_POOLS, taken)


@given(st.lists(small_networks, max_size=8))
def test_a_chosen_pool_overlaps_nothing_taken(taken):
    assert not overlaps(choose_subnet(((IPv4Network("10.0.0.0/8"), 24),), taken), taken)


def test_networks_of_other_families_do_not_overlap():
    assert not overlaps(IPv4Network("0.0.0.0/0"), [IPv6Network("::/0")])


@given(small_networks, st.data())
def test_every_address_is_given_once_and_then_none(subnet, data):
    """Whatever is released in between, an address in use is never given again, and the free count is exact (R6)."""
    pool = read_pool(IPAMConfig(subnet=str(subnet)))
    free = {int(host) for host in subnet.hosts()} - {int(pool.gateway)}
    used: set[int] = set()
    for _ in range(data.draw(st.integers(1, 30))):
        if used and data.draw(st.booleans()):
            used.discard(data.draw(st.sampled_from(sorted(used))))
        elif used == free:
            with pytest.raises(Forbidden):
                allocate(pool, used)
        else:
            address = int(allocate(pool, used))
            assert address == min(free - used)
            used.add(address)


def test_the_gateway_is_the_first_address_and_a_range_bounds_the_rest():
    pool = read_pool(
        IPAMConfig(
            subnet="10.91.0.0/24",
            gateway="10.91.0.254",
            ip_range="10.91.0.128/25",
            auxiliary_addresses={"a": "10.91.0.128"},
        )
    )
    assert allocate(pool, ()) == IPv4Address("10.91.0.129")
    assert allocate(pool, (), IPv4Address("10.91.0.5")) == IPv4Address("10.91.0.5")
    assert read_pool(IPAMConfig(subnet="10.1.0.0/16")).gateway == IPv4Address("10.1.0.1")
    assert read_pool(IPAMConfig(subnet="fd00::/64")).gateway == IPv6Network("fd00::/64")[1]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"subnet": "10.300.0.0/16"}, "Invalid subnet 10.300.0.0/16 : invalid CIDR address: 10.300.0.0/16"),
        ({"subnet": "10.0.0.0"}, "Invalid subnet 10.0.0.0 : invalid CIDR address: 10.0.0.0"),
        (
            {"subnet": "10.0.0.0/24", "gateway": "10.1.0.1"},
            "failed to allocate gateway (10.1.0.1): Requested address is out of range",
        ),
        ({"subnet": "10.0.0.0/24", "gateway": "10.1x"}, "invalid gateway address 10.1x in Ipam configuration"),
        ({"subnet": "10.0.0.0/24", "ip_range": "10.1.0.0/24"}, "no matching subnet for range 10.1.0.0/24"),
        (
            {"subnet": "10.0.0.0/24", "auxiliary_addresses": {"a": "10.1.0.1"}},
            "no matching subnet for aux-address 10.1.0.1",
        ),
    ],
)
def test_a_bad_pool_is_refused_in_dockers_words(config, words):
    with pytest.raises(InvalidArgument) as refusal:
        read_pool(IPAMConfig(**config))
    assert refusal.value.message == words


def test_a_pool_without_room_for_a_gateway_is_refused():
    with pytest.raises(Forbidden, match=r"failed to allocate gateway \(\): no available addresses"):
        read_pool(IPAMConfig(subnet="10.0.0.0/32"))


def test_a_static_address_is_checked():
    pool = read_pool(IPAMConfig(subnet="10.0.0.0/24"))
    for taken in ("10.0.0.0", "10.0.0.1", "10.0.0.255", "10.0.0.7"):
        with pytest.raises(Forbidden, match="Address already in use"):
            allocate(pool, {int(IPv4Address("10.0.0.7"))}, IPv4Address(taken))
    with pytest.raises(InvalidArgument, match="It does not belong to any of this network's subnets"):
        allocate(pool, (), IPv4Address("10.0.1.2"))


def test_host_bits_of_a_subnet_are_dropped():
    assert parse_subnet("10.0.0.9/24") == IPv4Network("10.0.0.0/24")


def test_macs():
    assert default_mac(IPv4Address("172.17.0.2")) == "02:42:ac:11:00:02"
    assert parse_mac("02-42-AC-11-00-02") == "02:42:ac:11:00:02"
    for bad in ("zz", "02:42:ac:11:00", "01:00:5e:00:00:01", "2:42:ac:11:00:02"):
        with pytest.raises(InvalidArgument, match="is not a valid mac address"):
            parse_mac(bad)
