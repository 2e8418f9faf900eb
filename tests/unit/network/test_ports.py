"""What a container publishes: the wire's PortMap read and written."""

from __future__ import annotations

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.network.ports import PortRequest, PortTable, PortTaken, port_map, requests, validate_port_bindings
from wherry.state.network import PublishedPort
from wherry.wire.network import PortBinding


def listed(bindings, exposed=(), *, publish_all=False):
    return [
        (one.protocol, one.port, one.host_ip, one.first, one.last)
        for one in requests(bindings, exposed, publish_all=publish_all)
    ]


def test_requests_come_by_port_then_as_listed():
    bindings = {
        "443/tcp": [PortBinding(host_port="4443")],
        "80/tcp": [PortBinding(host_port="8000-8010"), PortBinding(host_ip="::1", host_port="81")],
        "53/udp": [PortBinding(host_ip="127.0.0.1")],
        "99/tcp": None,
    }
    assert listed(bindings) == [
        ("udp", 53, "127.0.0.1", 0, 0),
        ("tcp", 80, "", 8000, 8010),
        ("tcp", 80, "::1", 81, 81),
        ("tcp", 443, "", 4443, 4443),
    ]


def test_publish_all_adds_what_is_exposed_and_not_bound():
    bindings = {"80/tcp": [PortBinding(host_port="8080")]}
    assert listed(bindings, ("80/tcp", "53/udp"), publish_all=True) == [
        ("udp", 53, "", 0, 0),
        ("tcp", 80, "", 8080, 8080),
    ]


@pytest.mark.parametrize(
    ("port", "binding", "words"),
    [
        ("99999/tcp", PortBinding(), 'invalid port specification: "99999"'),
        ("x/tcp", PortBinding(), 'invalid port specification: "x"'),
        ("80/foo", PortBinding(), "invalid proto: foo"),
        ("80/tcp", PortBinding(host_port="70000"), 'invalid port specification: "70000"'),
        ("80/tcp", PortBinding(host_port="9-8"), 'invalid port specification: "9-8"'),
        ("80/tcp", PortBinding(host_port="-1"), 'invalid port specification: "-1"'),
        ("80/tcp", PortBinding(host_ip="1.2.3"), "invalid IP address: 1.2.3"),
    ],
)
def test_bad_bindings_are_refused(port, binding, words):
    with pytest.raises(InvalidArgument) as refusal:
        validate_port_bindings({port: [binding]})
    assert refusal.value.message == words


def test_the_port_map_shows_exposed_ports_as_null():
    published = [
        PublishedPort(protocol="tcp", port=80, host_ip="0.0.0.0", host_port=8080),
        PublishedPort(protocol="tcp", port=80, host_ip="::", host_port=8080),
    ]
    assert port_map(published, ("80/tcp", "81/udp")) == {
        "80/tcp": [
            PortBinding(host_ip="0.0.0.0", host_port="8080"),
            PortBinding(host_ip="::", host_port="8080"),
        ],
        "81/udp": None,
    }


def ask(number, host_ip="127.0.0.1", protocol="tcp", last=0):
    return PortRequest(protocol=protocol, port=80, host_ip=host_ip, first=number, last=last or number)


def test_a_port_belongs_to_its_owner_until_released():
    table = PortTable((32768, 60999))
    try:
        (first,) = table.reserve("a", [ask(0)], "10.0.0.2")
        with pytest.raises(PortTaken, match=f"Bind for 127.0.0.1:{first.host_port} failed: port is already allocated"):
            table.reserve("b", [ask(0), ask(first.host_port)], "10.0.0.3")
        assert table.release("b") == ()
        assert table.release("a") == (first,)
        assert table.reserve("b", [ask(first.host_port)], "10.0.0.3")
    finally:
        table.close()


def test_two_tables_do_not_share_a_port():
    """Two daemons side by side: the second is told, although neither of them listens."""
    one, two = PortTable((32768, 60999)), PortTable((32768, 60999))
    try:
        for protocol in ("tcp", "udp"):
            (first,) = one.reserve(protocol, [ask(0, protocol=protocol)], "10.0.0.2")
            with pytest.raises(PortTaken, match="address already in use"):
                two.reserve(protocol, [ask(first.host_port, protocol=protocol)], "10.0.0.2")
            assert two.hold_again("again", [first]) == [first]
    finally:
        one.close()
        two.close()


def test_a_range_gives_the_first_port_that_is_free():
    table = PortTable((32768, 60999))
    try:
        (first,) = table.reserve("a", [ask(0)], "10.0.0.2")
        number = first.host_port
        (second,) = table.reserve("b", [ask(number, last=number + 20)], "10.0.0.3")
        assert number < second.host_port <= number + 20
    finally:
        table.close()
