"""The multiplexed stream, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.client.errors import ClientError
from wherry.client.streams import Demultiplexer, Plain, copy

FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)))


def framed(stream, payload):
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@given(FRAMES, st.lists(st.integers(1, 20), min_size=1))
def test_payloads_come_out_whatever_the_pieces(frames, sizes):
    data = b"".join(framed(*frame) for frame in frames)
    expected = {n: b"".join(payload for stream, payload in frames if stream == n) for n in (1, 2)}
    found = {1: b"", 2: b""}
    demultiplexer = Demultiplexer()
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        for stream, payload in demultiplexer.feed(data[at : at + size]):
            found[stream] += payload
        at += size
    assert found == expected


def test_echoed_stdin_is_output():
    assert list(Demultiplexer().feed(framed(0, b"x"))) == [(1, b"x")]


def test_the_daemons_error_in_the_stream_is_raised():
    with pytest.raises(ClientError, match="error from daemon in stream: disk full"):
        list(Demultiplexer().feed(framed(3, b"disk full")))


def test_an_unknown_stream_is_refused():
    with pytest.raises(ClientError, match="Unrecognized input header: 9"):
        list(Demultiplexer().feed(framed(9, b"x")))


@pytest.mark.parametrize(("tty", "data"), [(True, b"plain"), (False, framed(1, b"plain") + framed(2, b"no"))])
def test_copy_sends_each_where_it_belongs(tty, data):
    out, err = [], []
    copy(iter([data]), tty=tty, out=out.append, err=err.append)
    assert (out, err) == ([b"plain"], [] if tty else [b"no"])
    assert list(Plain.feed(b"a")) == [(1, b"a")]
