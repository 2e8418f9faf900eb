"""Signals and names as a user writes them."""

from __future__ import annotations

import signal

import pytest

from wherry.engine.containers.names import check_name, draw_name
from wherry.engine.containers.signals import parse_signal
from wherry.lib.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "number"),
    [("KILL", 9), ("SIGTERM", 15), ("sigusr1", 10), ("9", 9), ("RTMIN+3", signal.SIGRTMIN + 3), ("RTMAX", 64)],
)
def test_a_signal_has_many_spellings(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["FOO", "0", "65", "RTMIN+99", "KILL+1", "", "-9"])
def test_an_unknown_signal_is_refused(text):
    with pytest.raises(InvalidArgument, match="invalid signal"):
        parse_signal(text)


@pytest.mark.parametrize("name", ["a", "-a", "a b", "", "/", "ä1"])
def test_a_name_outside_the_grammar_is_refused(name):
    with pytest.raises(InvalidArgument, match="Invalid container name"):
        check_name(name)


def test_a_drawn_name_is_valid_and_free():
    taken = {draw_name(frozenset()) for _ in range(200)}
    drawn = draw_name(taken)
    assert drawn not in taken
    assert check_name(drawn) == drawn
