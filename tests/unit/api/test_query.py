"""The query string and the versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.api.server.query import QueryString, atoi
from wherry.api.server.routing import ApiVersion
from wherry.api.server.versions import MAXIMUM, parse_version, split_version
from wherry.lib.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", False),
        ("0", False),
        ("No", False),
        ("FALSE", False),
        ("none", False),
        ("1", True),
        ("yes", True),
        ("x", True),
    ],
)
def test_flags(text, value):
    assert QueryString(f"f={text}").flag("f") is value


def test_absent_flags_are_the_default():
    assert QueryString("").flag("f") is False
    assert QueryString("").flag("f", default=True) is True
    assert QueryString("f").flag("f", default=True) is False


def test_values():
    query = QueryString("a=1&b=x%2Fy+z&a=2")
    assert query.text("a") == "1"
    assert query.texts("a") == ["1", "2"]
    assert query.text("b") == "x/y z"
    assert query.text("c", "d") == "d"
    assert query.has("a")
    assert not query.has("c")
    assert query.integer("a", 7) == 1
    assert query.integer("c", 7) == 7


def test_filters():
    assert QueryString("filters=%7B%22status%22%3A%5B%22exited%22%5D%7D").filters().get("status") == ("exited",)
    with pytest.raises(InvalidArgument):
        QueryString("filters=%7B").filters()


@pytest.mark.parametrize("text", ["", "a", "1.5", "0x1", "1_0", "٣", " 1", "9" * 30])
def test_atoi_refuses(text):
    with pytest.raises(InvalidArgument, match=r"strconv\.Atoi: parsing"):
        atoi(text)


@given(st.integers(-(2**63), 2**63 - 1))
def test_atoi_takes_what_go_takes(number):
    assert atoi(str(number)) == number


@given(st.text(max_size=60))
def test_any_query_is_parsed_or_refused(text):
    try:
        QueryString(text)
    except InvalidArgument:
        return


def test_bad_escapes_and_floods_are_refused():
    with pytest.raises(InvalidArgument, match='invalid URL escape "%zz"'):
        QueryString("a=%zz")
    with pytest.raises(InvalidArgument):
        QueryString("&".join("a=1" for _ in range(2000)))


def test_versions():
    assert split_version("/v1.50/info") == ("1.50", "/info")
    assert split_version("/info") == ("", "/info")
    assert split_version("/version") == ("", "/version")
    assert split_version("/volumes/x") == ("", "/volumes/x")
    assert parse_version("") == MAXIMUM
    assert parse_version("1.24") == ApiVersion(1, 24)
    assert parse_version("1.41") < ApiVersion(1, 42)


@pytest.mark.parametrize("text", ["1.51", "1.99", "2.0", "2", "99999999999999999999"])
def test_newer_clients_are_told(text):
    with pytest.raises(
        InvalidArgument, match=f"client version {text} is too new. Maximum supported API version is 1.50"
    ):
        parse_version(text)


@pytest.mark.parametrize("text", ["1.23", "1.12", "1", "0.1", "."])
def test_older_clients_are_told(text):
    with pytest.raises(InvalidArgument, match=r"is too old\. Minimum supported API version is 1\.24, please upgrade"):
        parse_version(text)
