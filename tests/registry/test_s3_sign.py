"""Signatures against the examples that AWS publishes (S3 API reference, "Signature Calculations")."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest

from wherry.registry.s3_sign import EMPTY_SHA256, Key, presigned_query, signed_headers

NOW = dt.datetime(2013, 5, 24, tzinfo=dt.UTC)
KEY = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
HOST = "examplebucket.s3.amazonaws.com"


Example = tuple[str, str, dict[str, str], dict[str, str], bytes, str]

RANGE: Example = (
    "GET",
    "/test.txt",
    {},
    {"range": "bytes=0-9"},
    b"",
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
)
PUT: Example = (
    "PUT",
    "/test$file.text",
    {},
    {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
    b"Welcome to Amazon S3.",
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
)
LIFECYCLE: Example = (
    "GET",
    "/",
    {"lifecycle": ""},
    {},
    b"",
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
)
LIST: Example = (
    "GET",
    "/",
    {"max-keys": "2", "prefix": "J"},
    {},
    b"",
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
)


@pytest.mark.parametrize("example", [RANGE, PUT, LIFECYCLE, LIST], ids=["range", "put", "lifecycle", "list"])
def test_a_header_is_signed_as_aws_says(example: Example) -> None:
    """The four examples of the S3 API reference give the signatures printed there."""
    method, path, query, headers, body, signature = example
    payload = hashlib.sha256(body).hexdigest()
    sent = signed_headers(KEY, method, path, query, headers={"host": HOST, **headers}, payload=payload, now=NOW)
    assert sent["authorization"].endswith(f"Signature={signature}")
    assert "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request" in sent["authorization"]


def test_an_address_is_signed_as_aws_says() -> None:
    """The presigned example gives the signature printed in the reference."""
    query = presigned_query(KEY, "GET", "/test.txt", host=HOST, query={}, now=NOW, seconds=86400)
    assert query.endswith("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
    assert "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" in query


def test_a_session_is_part_of_what_is_signed() -> None:
    """Temporary credentials send their token, signed."""
    key = Key("AKID", "secret", "eu-west-1", session="the token")
    sent = signed_headers(key, "GET", "/a", {}, headers={"host": "h"}, payload=EMPTY_SHA256, now=NOW)
    assert sent["x-amz-security-token"] == "the token"
    assert "x-amz-security-token" in sent["authorization"]
    assert "X-Amz-Security-Token=the%20token" in presigned_query(
        key, "GET", "/a", host="h", query={}, now=NOW, seconds=60
    )
