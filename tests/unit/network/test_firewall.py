"""The table as text, and what counts as damage to it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from wherry.linux.nftables import (
    NFT_MSG_DELRULE,
    NFT_MSG_DELSETELEM,
    NFT_MSG_DELTABLE,
    NFT_MSG_NEWGEN,
    NFT_MSG_NEWTABLE,
    Change,
)
from wherry.network.firewall import BridgeRules, PortRule, Ruleset, change_ports, damaged, render, rules_for
from wherry.state.network import PublishedPort

PORT = PortRule(protocol="tcp", host_ip="0.0.0.0", host_port=8080, address="10.0.0.2", port=80)


def lines(ruleset):
    return [line.strip() for line in render(ruleset).splitlines()]


def test_a_ruleset_replaces_the_table_in_one_transaction():
    assert render(Ruleset(table="w")).startswith("add table inet w\ndelete table inet w\ntable inet w {\n")


def test_bridges_become_set_elements():
    bridges = (
        BridgeRules(interface="br0", subnets=(IPv4Network("10.0.0.0/24"), IPv6Network("fd00::/64"))),
        BridgeRules(interface="br-in", subnets=(IPv4Network("10.0.1.0/24"),), internal=True, icc=False),
        BridgeRules(interface="br2", subnets=(IPv4Network("10.0.2.0/24"),), masquerade=False),
    )
    text = lines(Ruleset(table="w", bridges=bridges))
    assert 'elements = { "br0", "br-in", "br2" }' in text
    assert 'elements = { "br0" . "br0", "br2" . "br2" }' in text
    assert 'elements = { "br-in" }' in text
    assert "elements = { 10.0.0.0/24 }" in text
    assert "elements = { fd00::/64 }" in text


def test_ports_are_elements_of_the_map_that_fits():
    one = PortRule(protocol="udp", host_ip="::1", host_port=53, address="fd00::2", port=53)
    assert (PORT.map, PORT.element) == ("any4", "tcp . 8080 : 10.0.0.2 . 80")
    assert (one.map, one.element) == ("one6", "udp . ::1 . 53 : fd00::2 . 53")
    assert change_ports("w", "add", [PORT]) == "add element inet w any4 { tcp . 8080 : 10.0.0.2 . 80 }"
    assert change_ports("w", "delete", [one]) == "delete element inet w one6 { udp . ::1 . 53 }"


def test_a_port_goes_to_the_address_of_its_family():
    published = [
        PublishedPort(protocol="tcp", port=80, host_ip="0.0.0.0", host_port=1),
        PublishedPort(protocol="tcp", port=80, host_ip="::", host_port=1),
    ]
    assert [rule.address for rule in rules_for(published, "10.0.0.2", "fd00::2")] == ["10.0.0.2", "fd00::2"]
    assert [rule.address for rule in rules_for(published, "10.0.0.2", "")] == ["10.0.0.2"]


def test_damage_is_what_is_gone_at_the_end():
    flushed = [Change(NFT_MSG_DELRULE, "w"), Change(NFT_MSG_NEWGEN, "")]
    swapped = [Change(NFT_MSG_DELTABLE, "w"), Change(NFT_MSG_NEWTABLE, "w"), Change(NFT_MSG_NEWGEN, "")]
    withdrawn = [Change(NFT_MSG_DELSETELEM, "w"), Change(NFT_MSG_NEWGEN, "")]
    assert damaged(flushed, "w")
    assert not damaged(flushed, "other")
    assert not damaged(swapped, "w")
    assert not damaged(withdrawn, "w")
