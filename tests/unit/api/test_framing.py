"""Where a body ends, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.api.server.framing import BadFraming, Chunked, Fixed


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def fed(framing, pieces):
    body, rest = b"", b""
    for piece in pieces:
        if framing.done:
            rest += piece
            continue
        parts, after = framing.feed(piece)
        body += b"".join(parts)
        rest += after
    return body, rest


def chunked(parts: list[bytes], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    return (
        b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts if part)
        + b"0\r\n"
        + trailer
        + b"\r\n"
    )


@given(st.binary(max_size=200), st.binary(max_size=50), st.lists(st.integers(0, 300)))
def test_a_fixed_body_ends_after_its_length(body, after, places):
    framing = Fixed(len(body))
    assert fed(framing, cut(body + after, places)) == (body, after)
    assert framing.done
    assert framing.remaining() == 0


@given(
    st.lists(st.binary(max_size=60)),
    st.sampled_from([b"", b";name=value", b" ;x"]),
    st.sampled_from([b"", b"Checksum: 1\r\n", b"A: b\r\nC: d\r\n"]),
    st.binary(max_size=50),
    st.lists(st.integers(0, 1000)),
)
def test_a_chunked_body_ends_after_its_last_chunk(parts, extension, trailer, after, places):
    framing = Chunked()
    assert fed(framing, cut(chunked(parts, extension, trailer) + after, places)) == (b"".join(parts), after)
    assert framing.done


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_noise_is_refused_or_waited_for(pieces):
    """Whatever comes, the only error is BadFraming."""
    framing = Chunked()
    try:
        fed(framing, pieces)
    except BadFraming:
        return
    assert framing.remaining() in (0, None)


@pytest.mark.parametrize(
    "noise",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"0x10\r\n",
        b"\r\n",
        b"5\n",
        b"1\r\nab\r\n",
        b"1\r\na\r\r\n",
        b"ffffffffffffffff\r\n",
        b"fffffffffffffffff\r\n",
        b"1" + b";" * 5000,
        b"0\r\n" + b"A: b\r\n" * 4000,
    ],
)
def test_bad_chunks_are_refused(noise):
    with pytest.raises(BadFraming):
        fed(Chunked(), [noise])
