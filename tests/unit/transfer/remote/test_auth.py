"""Being let in: anonymous, Basic, tokens, identity tokens (distribution's token and OAuth 2 specifications)."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from support.hostile_registry import ENDLESS, Answer, HostileRegistry, redirect
from unit.transfer.remote.reading import descriptor_of, name_at, read_all
from wherry.lib.errors import Internal, NotFound, Unauthorized
from wherry.transfer.remote import Credentials, Stop
from wherry.transfer.remote.login import log_in

ME = Credentials("me", "secret")
TOKEN = r"/token.*"


@pytest.fixture
def basic():
    with HostileRegistry(basic=("me", "secret")) as served:
        served.add_image("team/app", "latest", [b"x"])
        yield served


@pytest.fixture
def bearer():
    with HostileRegistry(bearer=("me", "secret")) as served:
        served.add_image("team/app", "latest", [b"x"])
        yield served


def test_basic(basic, client):
    assert client().open(name_at(basic), ME).manifest("latest").raw


def test_basic_without_credentials(basic, client):
    with pytest.raises(
        Internal, match=rf'^Head "{basic.url}/v2/team/app/manifests/latest": no basic auth credentials$'
    ):
        client().open(name_at(basic), None).manifest("latest")


def test_basic_with_wrong_credentials_is_tried_once(basic, client):
    with pytest.raises(Internal, match="unauthorized"):
        client().open(name_at(basic), Credentials("me", "wrong")).manifest("latest")
    assert len(basic.seen("GET", ".*/manifests/.*")) == 1


def test_a_token_is_asked_for_what_is_needed(bearer, client):
    client().open(name_at(bearer), ME).manifest("latest")
    [asked] = bearer.seen("GET", TOKEN)
    query = parse_qs(urlsplit(asked.path).query)
    assert query == {"service": ["hostile"], "scope": ["repository:team/app:pull"], "account": ["me"]}


def test_a_token_is_used_again(bearer, client):
    registries = client()
    for _ in range(3):
        registries.open(name_at(bearer), ME).manifest("latest")
    assert len(bearer.seen("GET", TOKEN)) == 1


def test_a_users_token_is_not_anothers(bearer, client):
    registries = client()
    registries.open(name_at(bearer), ME).manifest("latest")
    with pytest.raises(NotFound, match="pull access denied"):
        registries.open(name_at(bearer), None).manifest("latest")


def test_an_anonymous_token(bearer, client):
    bearer.public.add("team/app")
    assert client().open(name_at(bearer), None).manifest("latest").raw
    assert "authorization" not in bearer.seen("GET", TOKEN)[0].headers


def test_a_token_that_expired_is_replaced(bearer, client):
    repository = client().open(name_at(bearer), ME)
    repository.manifest("latest")
    bearer.tokens.clear()
    assert repository.manifest("latest").raw


def test_wrong_credentials_at_the_token_server(bearer, client):
    with pytest.raises(Internal, match=r'^Head ".*": unauthorized: incorrect username or password$'):
        client().open(name_at(bearer), Credentials("me", "wrong")).manifest("latest")


def test_a_mount_asks_for_both_repositories(bearer, client):
    digest = bearer.add_blob(b"data")
    repository = client().open(name_at(bearer, "team/copy"), ME, push=True)
    assert repository.mount_blob(digest, name_at(bearer))
    scopes = parse_qs(urlsplit(bearer.seen("GET", TOKEN)[-1].path).query)["scope"]
    assert scopes == ["repository:team/copy:pull,push", "repository:team/app:pull"]


def test_an_identity_token_is_sent_by_post(bearer, client):
    """distribution's OAuth 2 specification: grant_type=refresh_token."""
    bearer.identity_tokens.add("refresh")
    client().open(name_at(bearer), Credentials(identity_token="refresh")).manifest("latest")
    form = parse_qs(bearer.seen("POST", TOKEN)[0].body.decode())
    assert (form["grant_type"], form["refresh_token"], form["client_id"]) == (
        ["refresh_token"],
        ["refresh"],
        ["docker"],
    )


def test_a_registry_token_is_sent_as_it_is(bearer, client):
    bearer.tokens["given"] = {"repository:team/app:pull"}
    assert client().open(name_at(bearer), Credentials(registry_token="given")).manifest("latest").raw
    assert bearer.seen("GET", TOKEN) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, b"{}"), "authorization server did not include a token in the response"),
        (Answer(200, json.dumps({"token": "a\r\nEvil: yes"}).encode()), "did not include a token"),
        (Answer(200, b"<html>"), "unable to decode token response"),
        (Answer(500), "received unexpected HTTP status: 500"),
        (ENDLESS, "larger than the limit"),
        (redirect("/token"), "stopped after"),
    ],
)
def test_a_token_server_that_is_none(bearer, client, answer, words):
    bearer.on("GET", TOKEN, answer)
    with pytest.raises(Internal, match=words):
        client().open(name_at(bearer), ME).manifest("latest")


def test_a_password_does_not_follow_the_token_servers_redirect(bearer, client):
    with HostileRegistry(bearer=("me", "secret")) as elsewhere:
        bearer.on("GET", TOKEN, redirect(f"{elsewhere.url}/token"))
        with pytest.raises((Internal, NotFound)):
            client().open(name_at(bearer), ME).manifest("latest")
        assert elsewhere.seen()
        assert all("authorization" not in one.headers for one in elsewhere.seen())


def test_a_token_for_a_blob_served_elsewhere_stays_here(bearer, client):
    with HostileRegistry() as elsewhere:
        data = descriptor_of(elsewhere, b"data")
        bearer.on("GET", ".*/blobs/.*", redirect(f"{elsewhere.url}/v2/x/blobs/{data.digest}"))
        assert read_all(client().open(name_at(bearer), ME).blob(data)) == b"data"
        assert all("authorization" not in one.headers for one in elsewhere.seen())


def test_a_login(basic, bearer, client):
    registries = client()
    assert log_in(registries, Credentials("me", "secret", server_address=basic.host), Stop()) == ""
    identity = log_in(registries, Credentials("me", "secret", server_address=f"http://{bearer.host}/v1/"), Stop())
    assert identity in bearer.identity_tokens


def test_a_login_with_a_wrong_password(basic, bearer, client):
    registries = client()
    with pytest.raises(Internal, match=rf"^login attempt to {basic.url}/v2/ failed with status: 401 Unauthorized$"):
        log_in(registries, Credentials("me", "wrong", server_address=basic.host), Stop())
    with pytest.raises(Unauthorized, match=rf'^Get "{bearer.url}/v2/": unauthorized: incorrect username or password$'):
        log_in(registries, Credentials("me", "wrong", server_address=bearer.host), Stop())
