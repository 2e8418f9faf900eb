"""distribution-spec, "Pull": manifests and blobs, and whether they are there."""

from __future__ import annotations

import json

from distribution.clauses import DEFINED, MAY, MUST, SHOULD, SHOULD_NOT, clause
from distribution.client import OCI_INDEX, OCI_MANIFEST, Repository, digest_of, encode

MISSING = f"sha256:{'0' * 64}"


@clause("pulling-manifests", MUST, "a manifest is had by its tag, with 200 and its own bytes")
def test_manifest_by_tag(repository: Repository) -> None:
    raw = repository.push_image("v1", "by tag")
    answer = repository.get("v1")
    assert (answer.status, answer.body) == (200, raw)


@clause("pulling-manifests", MUST, "a manifest is had by its digest, with 200 and its own bytes")
def test_manifest_by_digest(repository: Repository) -> None:
    raw = repository.push_image("v1", "by digest")
    answer = repository.get(digest_of(raw))
    assert (answer.status, answer.body) == (200, raw)


@clause("pulling-manifests", DEFINED, "Content-Type is the type of the manifest")
@clause("pulling-manifests", SHOULD, "Content-Type is the one that it was pushed with")
def test_manifest_type(repository: Repository) -> None:
    repository.push_image("v1", "type")
    assert repository.get("v1").headers["content-type"] == OCI_MANIFEST


@clause("pulling-manifests", SHOULD_NOT, "Content-Type has no parameters")
def test_manifest_type_without_parameters(repository: Repository) -> None:
    repository.push_image("v1", "parameters")
    assert ";" not in repository.get("v1").headers["content-type"]


@clause("pulling-manifests", SHOULD, "Content-Type of an index is that of an index")
def test_index_type(repository: Repository) -> None:
    child = repository.push_image("child", "index type")
    entry = {"mediaType": OCI_MANIFEST, "digest": digest_of(child), "size": len(child)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    assert repository.push("all", index).status == 201
    assert repository.get("all").headers["content-type"] == OCI_INDEX


@clause("pulling-manifests", SHOULD, "Docker-Content-Digest is the digest of the manifest")
def test_manifest_digest_header(repository: Repository) -> None:
    raw = repository.push_image("v1", "digest header")
    assert repository.get("v1").headers["docker-content-digest"] == digest_of(raw)


@clause("pulling-manifests", MUST, "a manifest that is not in the repository is 404, by tag")
def test_missing_tag(repository: Repository) -> None:
    repository.push_image("v1", "missing tag")
    answer = repository.get("v2")
    assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])


@clause("pulling-manifests", MUST, "a manifest that is not in the repository is 404, by digest")
def test_missing_manifest(repository: Repository) -> None:
    repository.push_image("v1", "missing manifest")
    answer = repository.get(MISSING)
    assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])


@clause("pulling-manifests", MUST, "a manifest of another repository is 404")
def test_manifest_of_another_repository(repository: Repository, other: Repository) -> None:
    raw = other.push_image("v1", "elsewhere")
    repository.push_image("v1", "here")
    assert repository.get(digest_of(raw)).status == 404


@clause("pulling-manifests", DEFINED, "a tag may have 128 characters of the grammar")
def test_longest_tag(repository: Repository) -> None:
    tag = "_" + "aZ09._-" * 18 + "x"
    assert len(tag) == 128
    raw = repository.push_image(tag, "longest tag")
    assert repository.get(tag).body == raw


@clause("pulling-manifests", DEFINED, "a name has components with dots, underscores and dashes between")
def test_name_grammar(repository: Repository) -> None:
    longer = repository.client.repository(f"{repository.name}/a.b/c_d/e__f/g---h/0")
    raw = longer.push_image("v1", "grammar")
    assert longer.get("v1").body == raw


@clause("pulling-blobs", MUST, "a blob is had by its digest, with 200 and its bytes")
def test_blob(repository: Repository) -> None:
    data = bytes(range(256)) * 1000
    repository.push_blob(data)
    answer = repository.call("GET", f"blobs/{digest_of(data)}")
    assert (answer.status, answer.body) == (200, data)


@clause("pulling-blobs", MUST, "a blob without bytes is had too")
def test_empty_blob(repository: Repository) -> None:
    repository.push_blob(b"")
    answer = repository.call("GET", f"blobs/{digest_of(b'')}")
    assert (answer.status, answer.body) == (200, b"")


@clause("pulling-blobs", SHOULD, "Docker-Content-Digest is the digest of the blob")
def test_blob_digest_header(repository: Repository) -> None:
    repository.push_blob(b"digest header")
    answer = repository.call("GET", f"blobs/{digest_of(b'digest header')}")
    assert answer.headers["docker-content-digest"] == digest_of(b"digest header")


@clause("pulling-blobs", MUST, "a blob that is not in the repository is 404")
def test_missing_blob(repository: Repository) -> None:
    repository.push_blob(b"something else")
    answer = repository.call("GET", f"blobs/{MISSING}")
    assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"])


@clause("pulling-blobs", MUST, "a blob of another repository is 404")
def test_blob_of_another_repository(repository: Repository, other: Repository) -> None:
    other.push_blob(b"another's")
    repository.push_blob(b"mine")
    assert repository.call("GET", "blobs/" + digest_of(b"another's")).status == 404


@clause("pulling-blobs", SHOULD, "Range: the first bytes, with 206 and Content-Range")
def test_range(repository: Repository) -> None:
    assert _ranged(repository, "bytes=0-3") == (206, b"0123", "bytes 0-3/10")


@clause("pulling-blobs", SHOULD, "Range: from a byte to the end")
def test_range_to_the_end(repository: Repository) -> None:
    assert _ranged(repository, "bytes=4-") == (206, b"456789", "bytes 4-9/10")


@clause("pulling-blobs", SHOULD, "Range: the last bytes")
def test_range_suffix(repository: Repository) -> None:
    assert _ranged(repository, "bytes=-3") == (206, b"789", "bytes 7-9/10")


@clause("pulling-blobs", SHOULD, "Range: past the end is cut there")
def test_range_past_the_end(repository: Repository) -> None:
    assert _ranged(repository, "bytes=8-100") == (206, b"89", "bytes 8-9/10")


@clause("pulling-blobs", SHOULD, "Range: with no byte of the blob in it is 416")
def test_range_without_bytes(repository: Repository) -> None:
    status, _, content_range = _ranged(repository, "bytes=10-")
    assert (status, content_range) == (416, "bytes */10")


@clause("pulling-blobs", MAY, "Range: in a unit that is not known is ignored")
def test_range_of_another_unit(repository: Repository) -> None:
    status, body, _ = _ranged(repository, "lines=0-3")
    assert (status, body) == (200, b"0123456789")


def _ranged(repository: Repository, asked: str) -> tuple[int, bytes, str]:
    repository.push_blob(b"0123456789")
    answer = repository.call("GET", f"blobs/{digest_of(b'0123456789')}", headers={"Range": asked})
    return answer.status, answer.body, answer.headers.get("content-range", "")


@clause("checking-if-content-exists-in-the-registry", MUST, "HEAD of a blob that is there is 200, without a body")
@clause("checking-if-content-exists-in-the-registry", SHOULD, "HEAD of a blob says its size in Content-Length")
@clause("checking-if-content-exists-in-the-registry", SHOULD, "HEAD of a blob says its digest")
def test_head_of_blob(repository: Repository) -> None:
    repository.push_blob(b"head of blob")
    answer = repository.call("HEAD", f"blobs/{digest_of(b'head of blob')}")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "12")
    assert answer.headers["docker-content-digest"] == digest_of(b"head of blob")


@clause("checking-if-content-exists-in-the-registry", MUST, "HEAD of a manifest that is there is 200, by tag")
@clause("checking-if-content-exists-in-the-registry", SHOULD, "HEAD of a manifest says its size in Content-Length")
@clause("checking-if-content-exists-in-the-registry", SHOULD, "HEAD of a manifest says its digest")
def test_head_of_manifest(repository: Repository) -> None:
    raw = repository.push_image("v1", "head of manifest")
    answer = repository.get("v1", "HEAD")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len(raw)))
    assert answer.headers["docker-content-digest"] == digest_of(raw)


@clause("checking-if-content-exists-in-the-registry", MUST, "HEAD of a manifest that is there is 200, by digest")
def test_head_of_manifest_by_digest(repository: Repository) -> None:
    raw = repository.push_image("v1", "head by digest")
    assert repository.get(digest_of(raw), "HEAD").status == 200


@clause("checking-if-content-exists-in-the-registry", MUST, "HEAD of what is not there is 404")
def test_head_of_nothing(repository: Repository) -> None:
    repository.push_image("v1", "head of nothing")
    assert repository.call("HEAD", f"blobs/{MISSING}").status == 404
    assert repository.get(MISSING, "HEAD").status == 404
    assert repository.get("none", "HEAD").status == 404


@clause("pulling-manifests", SHOULD, "a manifest without mediaType is served with the type that it was pushed with")
def test_manifest_without_media_type(repository: Repository) -> None:
    manifest = repository.image("no media type")
    del manifest["mediaType"]
    assert repository.push("v1", manifest, OCI_MANIFEST).status == 201
    answer = repository.get("v1")
    assert (answer.headers["content-type"], answer.body) == (OCI_MANIFEST, encode(manifest))
    assert "mediaType" not in json.loads(answer.body)
