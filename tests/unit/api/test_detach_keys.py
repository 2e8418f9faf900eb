"""Leaving a terminal by keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.api.routes.detach_keys import DEFAULT_KEYS, DetachScanner, parse_detach_keys
from wherry.lib.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", DEFAULT_KEYS),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-@", b"\0"),
        ("a", b"a"),
        ("ctrl-[,b", b"\x1bb"),
        ("ctrl-_", b"\x1f"),
        ("DEL", b"\x7f"),
    ],
)
def test_names_of_keys(text, keys):
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["foo", "ctrl-", "ctrl-ab", "a,,b", "é"])
def test_unknown_keys_are_refused(text):
    with pytest.raises(InvalidArgument, match="Invalid detach keys"):
        parse_detach_keys(text)


@given(
    st.binary(min_size=1, max_size=4).map(lambda keys: bytes(byte % 3 for byte in keys)),
    st.lists(st.binary(max_size=8).map(lambda data: bytes(byte % 3 for byte in data))),
)
def test_the_cut_of_the_input_does_not_matter(keys, pieces):
    """What passes is what stands before the first occurrence of the keys, or everything."""
    scanner = DetachScanner(keys)
    passed, detached = b"", False
    for piece in pieces:
        out, detached = scanner.feed(piece)
        passed += out
        if detached:
            break
    whole = b"".join(pieces)
    position = whole.find(keys)
    assert detached is (position >= 0)
    assert passed + scanner.rest() == (whole[:position] if detached else whole)


def test_a_beginning_is_held_back_and_let_go():
    scanner = DetachScanner(DEFAULT_KEYS)
    assert scanner.feed(b"ls\x10") == (b"ls", False)
    assert scanner.feed(b"x") == (b"\x10x", False)
    assert scanner.feed(b"\x10") == (b"", False)
    assert scanner.feed(b"\x11") == (b"", True)
