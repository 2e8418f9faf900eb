"""What a refusal says, in Docker's words (distribution-spec, "Error Codes")."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.lib.errors import Internal, NotFound, Unauthorized
from wherry.oci.reference import parse_reference
from wherry.transfer.remote.faults import read_refusal, told

NAME = parse_reference("reg.example/team/app:v1")


def spec(code, message, detail=None):
    return json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            404,
            spec("MANIFEST_UNKNOWN", "manifest unknown", {"Tag": "v1"}),
            NotFound,
            "manifest for reg.example/team/app:v1 not found: manifest unknown: manifest unknown",
        ),
        (404, spec("MANIFEST_UNKNOWN", "manifest unknown"), NotFound, "manifest unknown"),
        (
            404,
            spec("NAME_UNKNOWN", "no such thing"),
            NotFound,
            "repository reg.example/team/app not found: name unknown: no such thing",
        ),
        (
            403,
            spec("DENIED", "go away"),
            NotFound,
            (
                "pull access denied for reg.example/team/app, repository does not exist or may require 'docker login': "
                "denied: go away"
            ),
        ),
        (401, b"", Internal, "unauthorized: authentication required"),
        (401, b'{"details": "wrong password"}', Internal, "unauthorized: wrong password"),
        (429, spec("TOOMANYREQUESTS", "later"), Internal, "toomanyrequests: later"),
        (418, spec("TEAPOT", "short"), Internal, "unknown: short"),
        (
            400,
            b"{}",
            Internal,
            'error parsing HTTP 400 response body: no error details found in HTTP response body: "{}"',
        ),
        (500, spec("UNKNOWN", "x"), Internal, "received unexpected HTTP status: 500 Internal Server Error"),
    ],
)
def test_words(status, body, kind, words):
    error = told(read_refusal(status, "", body), NAME)
    assert (type(error), error.message) == (kind, words)


def test_a_token_without_the_rights():
    """RFC 6750, 3.1: the challenge says it, whatever the body says."""
    error = told(read_refusal(401, "", b"", "insufficient_scope"), NAME)
    assert "denied: requested access to the resource is denied" in error.message


def test_outside_of_a_pull_the_words_are_the_registrys():
    assert isinstance(told(read_refusal(401, "", b"")), Unauthorized)


@given(st.integers(400, 599), st.binary(max_size=200))
def test_nothing_breaks_the_reader(status, body):
    told(read_refusal(status, "", body), NAME)
