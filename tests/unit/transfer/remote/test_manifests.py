"""Manifests, tags and referrers from registries that lie (distribution-spec, "Pull" and "Content Discovery")."""

from __future__ import annotations

import json

import pytest

from support.hostile_registry import ENDLESS, OCI_MANIFEST, Answer, digest_of, error
from wherry.lib.errors import Internal, InvalidArgument, NotFound

MANIFESTS = r".*/manifests/.*"
INDEX = "application/vnd.oci.image.index.v1+json"


def answer(document, media_type=OCI_MANIFEST, **headers):
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(200, raw, {"Content-Type": media_type, **headers})


def test_by_tag_and_by_digest(registry, repository):
    digest = registry.add_image("team/app", "latest", [b"x"])
    one = repository()
    assert one.manifest("latest") == one.manifest(digest)
    assert one.manifest("latest").digest == digest_of(one.manifest("latest").raw) == digest


def test_the_head_alone(registry, repository):
    digest = registry.add_image("team/app", "latest", [b"x"])
    found = repository().manifest("latest", head=True)
    assert (found.media_type, found.digest, found.raw) == (OCI_MANIFEST, digest, b"")
    assert registry.seen("GET", MANIFESTS) == []


def test_a_head_that_tells_nothing_is_asked_in_full(registry, repository):
    digest = registry.add_image("team/app", "latest", [b"x"])
    registry.on("HEAD", MANIFESTS, Answer(405))
    found = repository().manifest("latest", head=True)
    assert found.digest == digest
    assert found.raw


def test_another_digest_than_was_asked_for(registry, repository):
    registry.on("GET", MANIFESTS, answer({"schemaVersion": 2}))
    wanted = digest_of(b"something else")
    with pytest.raises(Internal, match=f"manifest verification failed for digest {wanted}"):
        repository().manifest(wanted)


def test_another_digest_than_was_told(registry, repository):
    told = digest_of(b"something else")
    registry.on("GET", MANIFESTS, answer({"schemaVersion": 2}, **{"Docker-Content-Digest": told}))
    with pytest.raises(Internal, match="manifest verification failed"):
        repository().manifest("latest")


@pytest.mark.parametrize("sent", [answer(b"{" + b" " * (4 * 1024 * 1024)), ENDLESS])
def test_more_than_four_megabytes(registry, repository, sent):
    registry.on("GET", MANIFESTS, sent)
    with pytest.raises((Internal, InvalidArgument), match="larger than the limit of 4194304 bytes"):
        repository().manifest("latest")


@pytest.mark.parametrize(
    "media_type", ["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json", OCI_MANIFEST]
)
def test_schema_1(registry, repository, media_type):
    registry.on("GET", MANIFESTS, answer({"schemaVersion": 1, "fsLayers": []}, media_type))
    with pytest.raises(
        InvalidArgument, match=r"schema 1 support has been removed. Suggest the author of .*/team/app:latest"
    ):
        repository().manifest("latest")


def test_a_type_that_says_nothing(registry, repository):
    registry.on("GET", MANIFESTS, answer({"schemaVersion": 2, "manifests": []}, "text/plain; charset=utf-8"))
    assert repository().manifest("latest").media_type == INDEX


@pytest.mark.parametrize(
    ("document", "media_type"),
    [({"manifests": [], "layers": []}, OCI_MANIFEST), ({"manifests": [], "layers": []}, INDEX)],
)
def test_what_is_both_an_index_and_a_manifest(registry, repository, document, media_type):
    """CVE-2021-41190."""
    registry.on("GET", MANIFESTS, answer(document, media_type))
    with pytest.raises(InvalidArgument, match="besides its"):
        repository().manifest("latest")


@pytest.mark.parametrize("head", [b"A: b\r\n" * 1000, b"A: " + b"b" * 1_000_000, b"HTTP/9.9 zzz"])
def test_a_head_that_is_none(registry, repository, head):
    registry.on("GET", MANIFESTS, Answer(raw=b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n"))
    with pytest.raises((Internal, InvalidArgument)):
        repository().manifest("latest")


def test_no_manifest_at_all(registry, repository):
    with pytest.raises(NotFound, match="manifest unknown"):
        repository().manifest("latest")


def test_tags_come_by_pages(registry, repository):
    for number in range(7):
        registry.add_image("team/app", f"v{number}", [b"x"])
    registry.on("GET", r"/v2/team/app/tags/list\?n=1000", _page("v0", "v1", rest="?n=2&last=v1"))
    registry.on("GET", r"/v2/team/app/tags/list\?n=2&last=v1", _page("v2", "v3", rest="?n=9&last=v3"))
    assert list(repository().tags()) == [f"v{number}" for number in range(7)]


def test_pages_that_lead_in_a_circle(registry, repository):
    registry.on("GET", ".*/tags/list.*", _page("a", rest="?n=1000"))
    assert set(repository().tags()) == {"a"}


def test_pages_that_lead_elsewhere(registry, repository):
    registry.on("GET", ".*/tags/list.*", Answer(200, b'{"tags":["a"]}', {"Link": '<http://127.0.0.1:1/>; rel="next"'}))
    with pytest.raises(Internal, match="refusing to follow the list of tags"):
        list(repository().tags())


def test_referrers(registry, repository):
    registry.on("GET", ".*/referrers/.*", Answer(200, b'{"manifests":[1]}'))
    assert repository().referrers(digest_of(b"x")) == b'{"manifests":[1]}'


def test_referrers_by_the_tag_schema(registry, repository):
    """distribution-spec, "Referrers Tag Schema"."""
    subject = digest_of(b"x")
    registry.on("GET", ".*/referrers/.*", error(404, "NOT_FOUND", "page not found"))
    assert json.loads(repository().referrers(subject))["manifests"] == []
    registry.add_manifest("team/app", subject.replace(":", "-"), {"manifests": [2]}, INDEX)
    assert json.loads(repository().referrers(subject)) == {"manifests": [2]}


def _page(*tags, rest):
    return Answer(200, json.dumps({"tags": tags}).encode(), {"Link": f'</v2/team/app/tags/list{rest}>; rel="next"'})
