"""A conversation over a socket pair."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.client.session import Detached, EscapeKeys, Session

KEYS = b"\x10\x11"


@given(st.lists(st.binary(max_size=5)))
def test_what_is_typed_passes_unless_the_keys_come(pieces):
    """Held-back beginnings of the sequence are passed on as soon as they prove not to be it."""
    typed = b"".join(pieces)
    escape = EscapeKeys(KEYS)
    passed, detached = b"", False
    for piece in pieces:
        more, detached = escape.feed(piece)
        passed += more
        if detached:
            break
    if KEYS in typed:
        assert detached
        assert passed == typed[: typed.index(KEYS)]
    else:
        assert not detached
        assert passed + KEYS[:1] * typed.endswith(KEYS[:1]) == typed


def session(stdin=None, **more):
    ours, theirs = socket.socketpair()
    out, err = [], []
    made = Session((ours, b""), stdin=stdin, out=out.append, err=err.append, **{"tty": True, **more})
    return made, theirs, out


def test_output_flows_until_the_other_side_ends():
    made, theirs, out = session()
    theirs.sendall(b"bye")
    theirs.close()
    made.run()
    assert b"".join(out) == b"bye"
    made.close()


def test_input_is_sent_whole_and_then_closed():
    read, write = os.pipe()
    made, theirs, out = session(stdin=read)
    data = b"x" * 500_000
    got = []

    def answer():
        while piece := theirs.recv(65536):
            got.append(piece)
            theirs.sendall(b".")
        theirs.close()

    def type_it():
        os.write(write, data[:60_000])
        with os.fdopen(write, "wb") as pipe:
            pipe.write(data[60_000:])

    threads = [threading.Thread(target=answer), threading.Thread(target=type_it)]
    for thread in threads:
        thread.start()
    made.run()
    for thread in threads:
        thread.join(timeout=5)
    assert b"".join(got) == data
    assert set(b"".join(out)) == {ord(".")}
    made.close()
    os.close(read)


def test_the_keys_detach():
    read, write = os.pipe()
    made, theirs, _ = session(stdin=read, keys=KEYS)
    os.write(write, b"ab" + KEYS)
    with pytest.raises(Detached, match="read escape sequence"):
        made.run()
    assert theirs.recv(10) == b"ab"
    made.close()
    theirs.close()
    os.close(read)
    os.close(write)


def test_another_descriptor_can_end_it():
    made, theirs, _ = session()
    read, write = os.pipe()
    os.write(write, b"x")
    made.watch(read, lambda _: os.read(read, 1) == b"x")
    made.run()
    made.close()
    theirs.close()
    os.close(read)
    os.close(write)
