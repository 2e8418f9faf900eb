from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime import compact_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_it_speaks_the_same_json_as_the_standard_library(value):
    """Either side may be read by the other."""
    assert compact_json.loads(json.dumps(value).encode()) == value
    assert json.loads(compact_json.dumps(value)) == value


@pytest.mark.parametrize("text", [b"", b"{", b"nope", b'{"a"'])
def test_what_is_not_json_is_a_value_error(text):
    """As json.loads."""
    with pytest.raises(ValueError, match=r"not JSON|Expecting|Unterminated"):
        compact_json.loads(text)
