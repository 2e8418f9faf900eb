"""/etc/hosts and /etc/resolv.conf, as Docker 20.10 wrote them for the same input."""

from __future__ import annotations

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.network.files import (
    HOSTS_HEAD,
    extra_host,
    hosts,
    hosts_on_host,
    override,
    parse_resolv_conf,
    without_loopback,
)


def test_hosts_has_extra_hosts_before_its_own_name():
    made = hosts(
        hostname="hh",
        domainname="dom.ain",
        addresses=["172.17.0.2"],
        extra=["foo:1.2.3.4", "six:[::7]", "hg:host-gateway"],
        gateway="172.17.0.1",
    )
    own = "1.2.3.4\tfoo\n::7\tsix\n172.17.0.1\thg\n172.17.0.2\thh.dom.ain hh\n"
    assert made.decode() == HOSTS_HEAD + own


def test_in_host_mode_the_hosts_file_is_the_hosts():
    assert hosts_on_host(b"127.0.0.1 localhost\n", ["a=1.2.3.4"], "") == b"127.0.0.1 localhost\n1.2.3.4\ta\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo", 'bad format for add-host: "foo"'),
        (":1.2.3.4", 'bad format for add-host: ":1.2.3.4"'),
        ("foo:1.2.3", 'invalid IP address in add-host: "1.2.3"'),
    ],
)
def test_a_bad_extra_host_is_refused(text, words):
    with pytest.raises(InvalidArgument) as refusal:
        extra_host(text)
    assert refusal.value.message == words


def test_user_settings_replace_the_hosts_part_by_part():
    base = parse_resolv_conf("# c\ndomain old\nsearch a b ; x\nnameserver 10.0.0.1\noptions rotate\noptions ndots:2\n")
    assert (base.nameservers, base.search, base.options) == (("10.0.0.1",), ("a", "b"), ("rotate", "ndots:2"))
    made = override(base, ["9.9.9.9"], ["ex.org"], ["ndots:3"]).render()
    assert made == b"search ex.org\nnameserver 9.9.9.9\noptions ndots:3\n"
    assert override(base, [], ["."], []).render() == b"nameserver 10.0.0.1\noptions rotate ndots:2\n"


def test_resolvers_that_a_container_cannot_reach_go():
    assert without_loopback("nameserver 127.0.0.53\nnameserver 10.0.0.1\n") == "nameserver 10.0.0.1\n"
    assert without_loopback("search a\nnameserver 127.0.0.53\noptions x\n") == (
        "search a\noptions x\n\nnameserver 8.8.8.8\nnameserver 8.8.4.4"
    )
    assert without_loopback("nameserver fe80::1\nnameserver 10.0.0.1\n") == "nameserver 10.0.0.1\n"
    assert without_loopback("nameserver fe80::1\n", ipv6=True) == "nameserver fe80::1\n"
