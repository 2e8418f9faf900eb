"""Netlink messages as bytes: what is packed is what is parsed, and hostile lengths end the walk."""

from __future__ import annotations

import errno
import struct

from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.netlink import NetlinkError, _failure, attribute, attributes, messages, nested, text, u32
from wherry.linux.rtnetlink import add_veth


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_come_back_as_packed(items):
    assert list(attributes(b"".join(attribute(kind, value) for kind, value in items))) == items


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_without_failing(data):
    list(attributes(data))
    list(messages(data))


def test_nesting_and_padding():
    packed = nested(5, text(1, "ab"), u32(2, 7))
    assert len(packed) % 4 == 0
    ((kind, inner),) = attributes(packed)
    assert kind == 5
    assert list(attributes(inner)) == [(1, b"ab\0"), (2, struct.pack("=I", 7))]


def test_an_error_says_what_was_attempted_and_why():
    header = struct.pack("=IHHII", 16, 16, 0, 1, 0)
    body = struct.pack("=i", -errno.EEXIST) + header + attribute(1, b"name taken\0")
    error = _failure(body, 0x300, "create bridge x")
    assert isinstance(error, NetlinkError)
    assert (error.errno, error.what) == (errno.EEXIST, "create bridge x")
    assert str(error) == "[Errno 17] create bridge x: File exists: name taken"
    assert _failure(struct.pack("=i", 0) + header, 0, "x") is None


def test_the_veth_message_carries_both_ends():
    message = add_veth("vethx", master=3, mtu=1500, peer="eth0", peer_mac="02:42:0a:00:00:02", peer_ns=9)
    assert b"vethx\0" in message.body
    assert b"eth0\0" in message.body
    assert bytes.fromhex("02420a000002") in message.body
