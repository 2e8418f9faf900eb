"""Sizes, durations, tables and JSON as docker prints them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cli.format import gojson, gotime, text, units
from wherry.cli.format.table import align, table


@pytest.mark.parametrize(
    ("size", "precision", "shown"),
    [
        (0, 3, "0B"),
        (999, 3, "999B"),
        (1000, 3, "1kB"),
        (1980000, 3, "1.98MB"),
        (199_000_000, 3, "199MB"),
        (200_912_345, 4, "200.9MB"),
        (999_999, 3, "1e+03kB"),
    ],
)
def test_sizes(size, precision, shown):
    assert units.human_size(size, precision) == shown


@pytest.mark.parametrize(("size", "shown"), [(0, "0B"), (1024, "1KiB"), (25275068416, "23.54GiB"), (1023, "1023B")])
def test_binary_sizes(size, shown):
    assert units.bytes_size(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (3600 * 47, "47 hours"),
        (3600 * 48, "2 days"),
        (86400 * 13, "13 days"),
        (86400 * 14, "2 weeks"),
        (86400 * 60, "2 months"),
        (86400 * 800, "2 years"),
    ],
)
def test_durations(seconds, shown):
    assert units.human_duration(seconds) == shown


@pytest.mark.parametrize(
    ("written", "size"),
    [("64", 64), ("1k", 1024), ("1.5g", 1610612736), ("1 GiB", 1 << 30), ("2MB", 2 << 20), ("7b", 7), ("1Kb", 1024)],
)
def test_reads_sizes(written, size):
    assert units.ram_in_bytes(written) == size


@given(st.text(alphabet="0123456789. kmgtpibB-xe", max_size=8))
def test_other_sizes_are_refused_and_nothing_crashes(written):
    try:
        assert units.ram_in_bytes(written) >= 0
    except ValueError:
        return


def test_columns_are_as_wide_as_their_widest_cell():
    rows = [["ID", "NAME", "X"], ["1", "a-long-name-here", ""], ["22", "b", "tail"]]
    assert table(rows) == (
        "ID        NAME               X\n"
        "1         a-long-name-here   \n"
        "22        b                  tail\n"
    )  # fmt: skip


def test_a_line_without_a_cell_ends_its_column():
    assert align("aaaaaaaaaaaa\tb\nx\nc\td", minimum=2, padding=1) == "aaaaaaaaaaaa b\nx\nc d"


def test_wide_characters_take_two_columns():
    assert align("漢\tx\nab\ty", minimum=0, padding=1) == "漢 x\nab y"


@given(st.text(alphabet="ab\t\n漢", max_size=40))
def test_alignment_loses_no_text(source):
    drawn = align(source)
    assert drawn.count("\n") == source.count("\n")
    assert drawn.replace(" ", "") == source.replace("\t", "")


@pytest.mark.parametrize(
    ("source", "limit", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abc", 0, ""),
        ("abc", 1, "a"),
        ("漢字漢", 5, "漢字…"),
        ("漢字漢", 4, "漢…"),
    ],
)
def test_ellipsis(source, limit, shown):
    assert text.ellipsis(source, limit) == shown


@pytest.mark.parametrize(
    ("source", "shown"),
    [("a", '"a"'), ('"\\', '"\\"\\\\"'), ("\n\t\x01", '"\\n\\t\\x01"'), ("é…", '"é…"'), ("\u200b", '"\\u200b"')],
)
def test_quotes(source, shown):
    assert text.quote(source) == shown


def test_natural_order():
    assert sorted(["b", "a10", "a2", "a"], key=text.natural_key) == ["a", "a2", "a10", "b"]


@pytest.mark.parametrize(
    ("identity", "short"), [("sha256:0123456789abcdef", "0123456789ab"), ("0123456789abcdef", "0123456789ab")]
)
def test_short_ids(identity, short):
    assert text.short_id(identity) == short


def test_times(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    assert text.local_time(0) == "1970-01-01 00:00:00 +0000 UTC"
    assert text.rfc3339(0, 5) == "1970-01-01T00:00:00.000000005Z"
    assert gotime.shown("2026-11-24T08:20:07.50Z") == "2026-11-24 08:20:07.5 +0000 UTC"
    assert gotime.shown("2026-11-24T08:20:07+02:00") == "2026-11-24 08:20:07 +0200 +0200"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_laying_out_changes_only_space(value):
    source = json.dumps(value, indent=1)
    assert json.loads(gojson.indent(source)) == value
    assert gojson.compact(source) == json.dumps(value, separators=(",", ":"))


def test_lays_out_as_go_does():
    assert gojson.indent('{"a":[],"b":{},"c":[1,"x\\"}"],"d":{"e":1.50}}') == (
        '{\n    "a": [],\n    "b": {},\n    "c": [\n        1,\n        "x\\"}"\n    ],\n'
        '    "d": {\n        "e": 1.50\n    }\n}'
    )


def test_escapes_as_go_does():
    assert gojson.encode({"a": "<&>\u2028"}) == '{"a":"<&>\\u2028"}'
    assert gojson.encode("<&>", html=True) == '"\\u003c\\u0026\\u003e"'
