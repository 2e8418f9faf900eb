"""WWW-Authenticate (RFC 7235, 4.1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wherry.transfer.remote.challenge import bearer_error, parse_challenges

TOKEN = st.text(st.sampled_from("abcxyzABC019-_.~"), min_size=1, max_size=12)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def _quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_the_challenge_of_a_token_server():
    [found] = parse_challenges(
        ['Bearer realm="https://auth.example/token",service="a b",scope="repository:x:pull,push"']
    )
    assert found.scheme == "bearer"
    assert found.parameters["scope"] == "repository:x:pull,push"


def test_several_in_one_header_and_in_several():
    found = parse_challenges(['Basic realm="a, b", Bearer realm=x', "Negotiate"])
    assert [one.scheme for one in found] == ["basic", "bearer", "negotiate"]
    assert found[0].parameters == {"realm": "a, b"}


def test_the_error_of_a_token():
    found = parse_challenges(['Bearer realm="x",error="insufficient_scope",error_description="no \\"way\\""'])
    assert bearer_error(found) == ("insufficient_scope", 'no "way"')


@given(st.lists(st.tuples(TOKEN, st.dictionaries(TOKEN.map(str.lower), TEXT, min_size=1, max_size=4)), max_size=3))
def test_what_was_written_is_read(challenges):
    headers = [
        f"{scheme} {','.join(f'{name}={_quote(text)}' for name, text in given.items())}" for scheme, given in challenges
    ]
    found = parse_challenges(headers)
    assert [(one.scheme, dict(one.parameters)) for one in found] == [
        (scheme.lower(), given) for scheme, given in challenges
    ]


@given(st.text(max_size=200))
def test_nothing_breaks_the_reader(header):
    parse_challenges([header])
