"""Our short way to JSON agrees with the standard library's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.client.jsonio import dumps, loads
from wherry.client.query import quote, urlencode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value):
    assert loads(dumps(value)) == value
    assert json.loads(dumps(value)) == value
    assert loads(json.dumps(value, indent=2).encode()) == value


@pytest.mark.parametrize("text", ["", "{", "[1,]", "{} x", "nul", "NaN"])
def test_what_is_not_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"line|char|JSON"):
        loads(text)


def test_bytes_that_are_not_text_become_the_replacement_character():
    assert dumps("a\udcffb") == '"a\ufffdb"'


def test_queries_are_encoded():
    assert urlencode({"a": "b c", "n": ["x/y", "é"]}) == "a=b%20c&n=x%2Fy&n=%C3%A9"
    assert quote("a/b:c", b"/:") == "a/b:c"
