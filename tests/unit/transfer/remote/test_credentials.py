"""X-Registry-Auth as the Engine API defines it."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.transfer.remote import Credentials, decode_auth


def encode(members, *, padded=True):
    header = base64.urlsafe_b64encode(json.dumps(members).encode()).decode()
    return header if padded else header.rstrip("=")


@pytest.mark.parametrize("padded", [True, False])
def test_all_members(padded):
    members = {
        "username": "me",
        "password": "pässword?>~",
        "identitytoken": "i",
        "registrytoken": "r",
        "serveraddress": "reg.example:5000",
        "email": "ignored",
    }
    assert decode_auth(encode(members, padded=padded)) == Credentials("me", "pässword?>~", "i", "r", "reg.example:5000")


def test_the_auth_of_a_config_file():
    auth = base64.b64encode(b"me:pass:word").decode()
    assert decode_auth(encode({"auth": auth})) == Credentials("me", "pass:word")


@pytest.mark.parametrize("header", ["", "e30=", "e30", "%%%", "bm90IGpzb24=", encode([1]), encode({"username": 3})])
def test_what_cannot_be_read_is_as_good_as_none(header):
    """As in Docker, which ignores it "to increase compatibility"."""
    assert decode_auth(header) is None


def test_secrets_are_not_shown():
    assert "secret" not in repr(Credentials("me", "secret", "secret", "secret", "host"))


@given(st.text(max_size=100))
def test_nothing_breaks_the_reader(header):
    decode_auth(header)


@given(st.builds(Credentials, *[st.text(max_size=20)] * 5))
def test_what_was_written_is_read(credentials):
    names = ("username", "password", "identity_token", "registry_token", "server_address")
    members = {name.replace("_", ""): getattr(credentials, name) for name in names}
    found = decode_auth(encode(members)) or Credentials()
    assert found == credentials
