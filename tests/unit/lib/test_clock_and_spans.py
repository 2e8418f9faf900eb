"""Times and spans as Docker and Go write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.lib.clock import ZERO, parse_rfc3339, parse_timestamp, rfc3339, rfc3339_fixed
from wherry.lib.errors import Internal, InvalidArgument
from wherry.lib.filters import parse_filters
from wherry.lib.timespan import labels_match, parse_duration, until_ns

INSTANTS = st.integers(min_value=1, max_value=4_000_000_000 * 10**9)


@given(INSTANTS)
def test_an_instant_survives_being_written(instant):
    """To the nanosecond, with and without the zeros at the end of the fraction."""
    assert parse_rfc3339(rfc3339(instant)) == instant
    assert parse_rfc3339(rfc3339_fixed(instant)) == instant
    assert parse_timestamp(f"{instant // 10**9}.{instant % 10**9:09d}") == instant


def test_never_is_gos_zero_time():
    assert rfc3339(0) == ZERO
    assert parse_rfc3339(ZERO) == 0


@pytest.mark.parametrize(("text", "seconds"), [("10", 10), ("10.5", 10.5), ("1970-01-01T00:01:00+00:01", 0), ("", 0)])
def test_timestamps_have_two_forms(text, seconds):
    assert parse_timestamp(text) == int(seconds * 10**9)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("1.5s", 1.5), ("-2m", -120), ("0", 0)])
def test_go_durations(text, seconds):
    assert parse_duration(text) == int(seconds * 10**9)


@pytest.mark.parametrize("text", ["", "5", "h", "1x", "--1s", "1h-1m"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_until_is_one_time_or_span():
    with pytest.raises(InvalidArgument, match="more than one"):
        until_ns(parse_filters('{"until": ["1h", "2h"]}'))
    with pytest.raises(Internal, match="failed to parse value"):
        until_ns(parse_filters('{"until": ["yesterday"]}'))


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("2024-01-02", "2024-01-02T00:00:00Z"),
        ("2024-01-02T03", "2024-01-02T03:00:00Z"),
        ("2024-01-02T03:04", "2024-01-02T03:04:00Z"),
        ("2024-01-02T03:04Z", "2024-01-02T03:04:00Z"),
        ("2024-01-02+01:00", "2024-01-01T23:00:00Z"),
    ],
)
def test_until_takes_a_time_without_its_small_parts(text, whole):
    assert until_ns(parse_filters(f'{{"until": ["{text}"]}}')) == parse_rfc3339(whole)


def test_a_label_with_an_exclamation_mark_excludes():
    filters = parse_filters('{"label!": {"keep": true}}')
    assert labels_match(filters, {})
    assert not labels_match(filters, {"keep": "yes"})


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}', '{"a": [1]}'])
def test_malformed_filters_are_refused(text):
    with pytest.raises(InvalidArgument):
        parse_filters(text)
