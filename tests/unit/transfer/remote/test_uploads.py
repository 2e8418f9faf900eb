"""Sending blobs and manifests (distribution-spec, "Push")."""

from __future__ import annotations

import io
import os

import pytest

from support.hostile_registry import HANG_UP, PASS, Answer, HostileRegistry, digest_of, error
from unit.transfer.remote.reading import name_at
from wherry.lib.errors import Internal, NotFound, WherryError

DATA = os.urandom(2_500_000)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    with path.open("rb") as opened:
        yield opened


@pytest.mark.parametrize("relative", [False, True])
def test_a_file(client, file, relative):
    """The Location of an upload may be absolute or relative, and may have a query of its own."""
    with HostileRegistry(relative=relative) as registry:
        told = []
        client().open(name_at(registry), None, push=True).upload(digest_of(DATA), len(DATA), file, told.append)
        assert registry.blobs[digest_of(DATA)] == DATA
        assert told == [1048576, 2097152, 2500000]


def test_a_stream(registry, repository):
    chunks = [DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000)]
    assert repository(push=True).upload_stream(chunks, lambda _: None) == (digest_of(DATA), len(DATA))
    assert registry.blobs[digest_of(DATA)] == DATA


def test_an_upload_is_tried_again_from_its_beginning(registry, repository, file):
    registry.on("PUT", ".*/uploads/.*", HANG_UP, Answer(503), PASS)
    waits = []
    repository(push=True).upload(digest_of(DATA), len(DATA), file, lambda _: None, on_retry=waits.append)
    assert registry.blobs[digest_of(DATA)] == DATA
    assert waits == [1, 1]


def test_a_refused_upload_is_not(registry, repository, file):
    registry.on("POST", ".*/uploads/.*", error(401, "UNAUTHORIZED", "no", None))
    with pytest.raises(WherryError, match=r"^unauthorized: no$"):
        repository(push=True).upload(digest_of(DATA), len(DATA), file, lambda _: None)
    assert len(registry.seen("POST")) == 1


def test_a_file_that_is_shorter_than_was_promised(registry, repository, file):
    with pytest.raises(Internal, match="file ended after 2500000 of 2600000 bytes"):
        repository(push=True, settings={"attempts": 1}).upload(digest_of(DATA), 2_600_000, file, lambda _: None)


def test_another_digest_is_refused(registry, repository, file):
    with pytest.raises(WherryError, match="digest invalid"):
        repository(push=True, settings={"attempts": 1}).upload(digest_of(b""), len(DATA), file, lambda _: None)


@pytest.mark.parametrize("headers", [{}, {"Location": "file:///etc/passwd"}])
def test_an_upload_to_nowhere(registry, repository, headers):
    registry.on("POST", ".*/uploads/.*", Answer(202, b"", headers))
    with pytest.raises(Internal):
        repository(push=True).upload_stream([b"x"], lambda _: None)


def test_what_makes_the_chunks_may_fail(registry, repository):
    def chunks():
        yield b"x"
        raise NotFound("the layer is gone")

    with pytest.raises(NotFound, match="the layer is gone"):
        repository(push=True).upload_stream(chunks(), lambda _: None)


def test_a_mount_that_did_not_succeed_has_begun_an_upload(registry, repository, file):
    """distribution-spec, end-11: 202 is the beginning of an ordinary upload, which is used."""
    one = repository(push=True)
    assert not one.mount_blob(digest_of(DATA), name_at(registry, "team/other"))
    one.upload(digest_of(DATA), len(DATA), file, lambda _: None)
    assert len(registry.seen("POST")) == 1
    assert one.has_blob(digest_of(DATA))
    assert one.mount_blob(digest_of(DATA), name_at(registry, "team/other"))


def test_nothing_is_mounted_across_registries(registry, repository, client):
    with HostileRegistry() as elsewhere:
        assert not repository(push=True).mount_blob(digest_of(DATA), name_at(elsewhere))
        assert registry.seen("POST") == []


def test_manifests_come_and_go(registry, repository):
    one = repository(push=True)
    raw = b'{"schemaVersion":2,"layers":[]}'
    assert one.put_manifest("v1", "application/vnd.oci.image.manifest.v1+json", raw) == digest_of(raw)
    assert one.manifest("v1").raw == raw
    one.delete_manifest(digest_of(raw))
    with pytest.raises(NotFound):
        one.manifest(digest_of(raw))


def test_a_body_is_read_from_the_file_where_it_stands(registry, repository, file):
    """However far someone has read it."""
    file.seek(0, io.SEEK_END)
    repository(push=True).upload(digest_of(DATA), len(DATA), file, lambda _: None)
    assert registry.blobs[digest_of(DATA)] == DATA
