from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime import frames

FRAMES = st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=300)), max_size=8)


@given(FRAMES, st.integers(1, 50))
def test_frames_survive_any_cut_of_the_stream(sent, size):
    """What goes in comes out, wherever the stream happens to be split."""
    stream = b"".join(frames.pack(kind, payload) for kind, payload in sent)
    decoder = frames.Decoder()
    received = [frame for start in range(0, len(stream), size) for frame in decoder.feed(stream[start : start + size])]
    assert received == sent


def test_a_frame_too_long_is_refused_before_it_is_read():
    """A peer cannot make us hoard memory."""
    with pytest.raises(frames.FrameError, match="announces"):
        list(frames.Decoder().feed(frames.HEADER.pack(frames.STDIN, frames.MAX_PAYLOAD + 1)))
