"""Reading blobs from registries that lie, break off, stall, or redirect."""

from __future__ import annotations

import os
import threading

import pytest

from support.hostile_registry import (
    ENDLESS,
    GARBAGE,
    HANG_UP,
    PASS,
    Answer,
    HostileRegistry,
    cut,
    digest_of,
    error,
    redirect,
)
from unit.transfer.remote.reading import descriptor_of, name_at, read_all
from wherry.diff.errors import Stopped
from wherry.lib.errors import Forbidden, Internal, NotFound
from wherry.oci.manifest import Descriptor
from wherry.transfer.remote import Credentials, Stop

DATA = os.urandom(3 * 1024 * 1024)
BLOBS = r".*/blobs/.*"


def test_a_blob_comes_as_it_is(registry, repository):
    assert read_all(repository().blob(descriptor_of(registry, DATA))) == DATA


def test_a_blob_from_the_middle(registry, repository):
    assert read_all(repository().blob(descriptor_of(registry, DATA), offset=1000)) == DATA[1000:]


def test_a_broken_blob_is_resumed_where_it_broke(registry, repository):
    """RFC 9110, 14.2: the second request asks for the rest only."""
    registry.on("GET", BLOBS, cut(2_000_000), PASS)
    waits = []
    blob = repository().blob(descriptor_of(registry, DATA))
    blob.on_retry = waits.append
    assert read_all(blob) == DATA
    assert [one.headers.get("range") for one in registry.seen("GET", BLOBS)] == [None, "bytes=2000000-"]
    assert waits == [1]


def test_a_registry_without_ranges_is_read_again(client):
    with HostileRegistry(ranges=False) as registry:
        registry.on("GET", BLOBS, cut(2_000_000), PASS)
        blob = client().open(name_at(registry), None).blob(descriptor_of(registry, DATA))
        assert read_all(blob) == DATA


def test_a_range_that_was_not_asked_for_is_refused(registry, repository):
    blob = repository().blob(descriptor_of(registry, DATA), offset=10)
    registry.on("GET", BLOBS, Answer(206, DATA[20:], {"Content-Range": f"bytes 20-{len(DATA) - 1}/{len(DATA)}"}))
    with pytest.raises(Internal, match="invalid Content-Range"):
        read_all(blob)


def test_attempts_are_bounded(registry, repository):
    registry.on("GET", BLOBS, cut(100))
    with pytest.raises(Internal, match=r"^unexpected EOF$"):
        read_all(blob := repository(settings={"attempts": 3}).blob(descriptor_of(registry, DATA)))
    assert len(registry.seen("GET", BLOBS)) == blob.attempts == 3


def test_every_byte_that_gets_through_counts(registry, repository):
    """A bad line is not a bad registry: attempts are counted anew once a transfer got on."""
    registry.on("GET", BLOBS, *[cut(1_100_000)] * 2, PASS)
    blob = repository(settings={"attempts": 2}).blob(descriptor_of(registry, DATA))
    assert read_all(blob) == DATA


@pytest.mark.parametrize("answer", [HANG_UP, GARBAGE, Answer(500), Answer(503)])
def test_a_passing_failure_is_survived(registry, repository, answer):
    registry.on("GET", BLOBS, answer, PASS)
    assert read_all(repository().blob(descriptor_of(registry, DATA))) == DATA


def test_a_missing_blob_is_told(registry, repository):
    with pytest.raises(NotFound, match=r"^unknown blob$"):
        read_all(repository(settings={"attempts": 1}).blob(Descriptor(digest=digest_of(b"x"), size=1)))


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error(403, "DENIED", "go away"), NotFound, "pull access denied for .*: denied: go away"),
        (error(429, "TOOMANYREQUESTS", "slow down"), Internal, "^toomanyrequests: slow down$"),
        (Answer(418, b"short"), Internal, "error parsing HTTP 418 response body: invalid character 's'"),
    ],
)
def test_a_refusal_is_not_asked_again(registry, repository, answer, kind, words):
    registry.on("GET", BLOBS, answer)
    with pytest.raises(kind, match=words):
        read_all(repository().blob(descriptor_of(registry, DATA)))
    assert len(registry.seen("GET", BLOBS)) == 1


def test_a_wait_that_the_registry_asks_for_is_kept(registry, repository):
    registry.on("GET", BLOBS, error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"}), PASS)
    waits = []
    blob = repository().blob(descriptor_of(registry, DATA))
    blob.on_retry = waits.append
    assert read_all(blob) == DATA
    assert waits == [1]


def test_an_endless_wait_is_not_kept(registry, repository):
    registry.on("GET", BLOBS, error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "86400"}))
    with pytest.raises(Internal, match="toomanyrequests"):
        read_all(repository().blob(descriptor_of(registry, DATA)))


def test_a_body_without_end_stops_at_its_size(registry, repository):
    """S17: never more than the descriptor says, and surplus is an error."""
    registry.on("GET", BLOBS, ENDLESS)
    with pytest.raises(Internal, match="filesystem layer verification failed for digest"):
        read_all(repository().blob(descriptor_of(registry, DATA)))


def test_a_body_that_is_too_long_is_refused_before_it_is_read(registry, repository):
    data = b"x" * 1000
    blob = repository().blob(Descriptor(digest=registry.add_blob(data), size=999))
    with pytest.raises(Internal, match="filesystem layer verification failed for digest"):
        blob.readinto(bytearray(10))
    blob.close()


def test_silence_is_bounded(registry, repository):
    registry.on("GET", BLOBS, Answer(200, b"abc", length=1000, stop_after=3, stall=20))
    blob = repository(settings={"read_timeout": 0.2, "attempts": 2}).blob(Descriptor(digest=digest_of(DATA), size=1000))
    with pytest.raises(Internal, match="timeout"):
        read_all(blob)


def test_giving_up_wakes_the_reader(registry, repository):
    """A client that hangs up ends a read that would wait for long."""
    registry.on("GET", BLOBS, Answer(200, b"abc", length=1000, stop_after=3, stall=20))
    stop = Stop()
    blob = repository(stop=stop).blob(Descriptor(digest=digest_of(DATA), size=1000))
    assert blob.readinto(bytearray(10)) == 3
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Stopped), blob:
        blob.readinto(bytearray(10))


def test_giving_up_ends_a_wait(registry, repository):
    registry.on("GET", BLOBS, HANG_UP)
    stop = Stop()
    blob = repository(stop=stop, settings={"retry_delay": 60.0}).blob(descriptor_of(registry, DATA))
    blob.on_retry = lambda _: stop.set()
    with pytest.raises(Stopped):
        blob.readinto(bytearray(10))


def test_credentials_do_not_follow_a_redirect_to_another_host(client):
    """S17, and RFC 9110, 15.4: another port is another host."""
    with HostileRegistry(basic=("me", "secret")) as registry, HostileRegistry() as elsewhere:
        digest = elsewhere.add_blob(DATA)
        registry.on("GET", BLOBS, redirect(f"{elsewhere.url}/v2/x/blobs/{digest}"))
        repository = client().open(name_at(registry), Credentials("me", "secret"))
        assert read_all(repository.blob(Descriptor(digest=digest, size=len(DATA)))) == DATA
        assert registry.seen("GET", BLOBS)[0].headers["authorization"].startswith("Basic ")
        assert all("authorization" not in one.headers for one in elsewhere.seen())


def test_credentials_stay_at_their_host(client):
    with HostileRegistry(basic=("me", "secret")) as registry:
        digest = registry.add_blob(DATA)
        registry.on("GET", rf"/v2/team/app/blobs/{digest}", redirect(f"/v2/other/blobs/{digest}"))
        repository = client().open(name_at(registry), Credentials("me", "secret"))
        assert read_all(repository.blob(Descriptor(digest=digest, size=len(DATA)))) == DATA


def test_redirects_are_bounded(registry, repository):
    registry.on("GET", BLOBS, redirect("/v2/team/app/blobs/again"))
    with pytest.raises(Internal, match="stopped after 10 redirects"):
        read_all(repository().blob(descriptor_of(registry, DATA)))
    assert len(registry.seen("GET", BLOBS)) == 10


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[", "gopher://x/", "http://a b/"])
def test_a_redirect_to_nowhere_is_refused(registry, repository, location):
    registry.on("GET", BLOBS, redirect(location))
    with pytest.raises(Internal):
        read_all(repository().blob(descriptor_of(registry, DATA)))
    assert len(registry.seen("GET", BLOBS)) == 1


def test_a_foreign_layer_comes_from_its_own_address(client):
    """image-spec, descriptor.md, "urls": without credentials."""
    with HostileRegistry(basic=("me", "secret")) as registry, HostileRegistry() as elsewhere:
        digest = elsewhere.add_blob(DATA)
        urls = ["http://127.0.0.1:1/x", f"{elsewhere.url}/v2/x/blobs/{digest}"]
        repository = client().open(name_at(registry), Credentials("me", "secret"))
        assert read_all(repository.blob(Descriptor(digest=digest, size=len(DATA), urls=urls))) == DATA
        assert all("authorization" not in one.headers for one in elsewhere.seen())


def test_connections_are_kept(registry, repository):
    one = repository()
    for _ in range(5):
        read_all(one.blob(descriptor_of(registry, b"x" * 1000)))
    assert len({seen.connection for seen in registry.seen()}) == 1


def test_a_push_is_refused_in_the_registrys_words(registry, repository):
    registry.on("POST", ".*", error(403, "DENIED", "go away"))
    with pytest.raises(Forbidden, match=r"^denied: go away$"):
        repository(push=True).upload_stream([b"x"], lambda _: None)
