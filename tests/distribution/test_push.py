"""distribution-spec, "Push": blobs in one piece, in chunks and by mount; manifests."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from distribution.clauses import DEFINED, MAY, MUST, SHOULD, clause
from distribution.client import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    OCTETS,
    Repository,
    descriptor,
    digest_of,
    encode,
)

MISSING = f"sha256:{'0' * 64}"
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _held(repository: Repository, data: bytes) -> bool:
    answer = repository.call("GET", f"blobs/{digest_of(data)}")
    return answer.status == 200 and answer.body == data


# --- in one piece


@clause("post-then-put", MUST, "POST begins an upload with 202 and a Location")
@clause("post-then-put", MUST, "the location has a UUID")
def test_post(repository: Repository) -> None:
    answer = repository.call("POST", "blobs/uploads/")
    assert answer.status == 202
    assert UUID.search(answer.location)


@clause("post-then-put", MUST, "each upload has a location of its own")
def test_locations_differ(repository: Repository) -> None:
    assert repository.begin() != repository.begin()


@clause("post-then-put", MUST, "PUT of the whole blob is 201, and its Location is where it can be pulled")
def test_post_then_put(repository: Repository) -> None:
    data = b"post then put"
    answer = repository.put(repository.begin(), digest_of(data), data)
    assert answer.status == 201
    assert repository.client.call("GET", answer.location).body == data


@clause("post-then-put", DEFINED, "the body may come in the chunked transfer coding")
def test_put_of_a_stream(repository: Repository) -> None:
    data = b"stream of bytes" * 5000
    pieces = [data[start : start + 999] for start in range(0, len(data), 999)]
    assert repository.put(repository.begin(), digest_of(data), iter(pieces)).status == 201
    assert _held(repository, data)


@clause("post-then-put", MUST, "content of another digest is refused with 400 DIGEST_INVALID, and not kept")
def test_wrong_digest(repository: Repository) -> None:
    answer = repository.put(repository.begin(), digest_of(b"this"), b"that")
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert not _held(repository, b"that")
    assert repository.call("HEAD", f"blobs/{digest_of(b'this')}").status == 404


@clause("post-then-put", MUST, "PUT without a digest is 400 DIGEST_INVALID")
def test_put_without_digest(repository: Repository) -> None:
    answer = repository.client.call("PUT", repository.begin(), b"x", {"Content-Type": OCTETS})
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@clause("post-then-put", MUST, "PUT with what is no digest is 400 DIGEST_INVALID")
def test_put_with_no_digest(repository: Repository) -> None:
    answer = repository.put(repository.begin(), "sha256:xyz", b"x")
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@clause("post-then-put", DEFINED, "a blob with a sha512 digest can be pushed and pulled")
def test_sha512(repository: Repository) -> None:
    data = b"longer digest"
    digest = digest_of(data, "sha512")
    assert repository.put(repository.begin(), digest, data).status == 201
    assert repository.call("GET", f"blobs/{digest}").body == data


@clause("post-then-put", MUST, "a blob that is there already can be pushed again")
def test_push_again(repository: Repository) -> None:
    repository.push_blob(b"twice")
    repository.push_blob(b"twice")
    assert _held(repository, b"twice")


@clause("single-post", MUST, "POST with digest and body is 201 and a Location, or 202 and an upload begins")
def test_single_post(repository: Repository) -> None:
    data = b"single post"
    answer = repository.call("POST", f"blobs/uploads/?digest={digest_of(data)}", data, {"Content-Type": OCTETS})
    assert answer.status in (201, 202)
    if answer.status == 202:
        answer = repository.put(answer.location, digest_of(data), data)
        assert answer.status == 201
    assert repository.client.call("GET", answer.location).body == data


@clause("single-post", MAY, "POST with digest and body is all that it takes")
def test_single_post_is_done(repository: Repository) -> None:
    data = b"single post is done"
    answer = repository.call("POST", f"blobs/uploads/?digest={digest_of(data)}", data, {"Content-Type": OCTETS})
    assert (answer.status, _held(repository, data)) == (201, True)


@clause("single-post", MUST, "the digest has to match the body")
def test_single_post_with_wrong_digest(repository: Repository) -> None:
    answer = repository.call("POST", f"blobs/uploads/?digest={digest_of(b'this')}", b"that", {"Content-Type": OCTETS})
    assert answer.status in (202, 400)
    assert not _held(repository, b"that")
    assert repository.call("HEAD", f"blobs/{digest_of(b'this')}").status == 404


# --- in chunks


@clause("pushing-a-blob-in-chunks", MUST, "each chunk is 202, with the location to go on and the range so far")
def test_chunks(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"0123456789", 0)
    assert (first.status, first.headers["range"]) == (202, "0-9")
    second = repository.chunk(first.location, b"abcde", 10)
    assert (second.status, second.headers["range"]) == (202, "0-14")
    assert repository.put(second.location, digest_of(b"0123456789abcde")).status == 201
    assert _held(repository, b"0123456789abcde")


@clause("pushing-a-blob-in-chunks", MAY, "the last chunk comes with the closing PUT")
def test_last_chunk_with_put(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"first,", 0)
    answer = repository.put(first.location, digest_of(b"first,last"), b"last", {"Content-Range": "6-9"})
    assert answer.status == 201
    assert repository.client.call("GET", answer.location).body == b"first,last"


@clause("pushing-a-blob-in-chunks", DEFINED, "a stream may be sent by one PATCH without Content-Range")
def test_stream(repository: Repository) -> None:
    data = b"streamed" * 40_000
    first = repository.patch(repository.begin(), iter([data[:100_000], data[100_000:]]))
    assert (first.status, first.headers["range"]) == (202, f"0-{len(data) - 1}")
    assert repository.put(first.location, digest_of(data)).status == 201
    assert _held(repository, data)


@clause("pushing-a-blob-in-chunks", MUST, "a first chunk that does not begin with 0 is 416")
def test_first_chunk_out_of_order(repository: Repository) -> None:
    assert repository.chunk(repository.begin(), b"later", 5).status == 416


@clause("pushing-a-blob-in-chunks", MUST, "a chunk that leaves a gap is 416")
def test_chunk_with_a_gap(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"01234", 0)
    assert repository.chunk(first.location, b"789", 7).status == 416


@clause("pushing-a-blob-in-chunks", MUST, "a chunk that was sent already is 416")
def test_chunk_sent_again(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"01234", 0)
    assert repository.chunk(first.location, b"01234", 0).status == 416


@clause("pushing-a-blob-in-chunks", MUST, "a final chunk out of order is 416")
def test_final_chunk_out_of_order(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"01234", 0)
    answer = repository.put(first.location, digest_of(b"01234789"), b"789", {"Content-Range": "7-9"})
    assert answer.status == 416


@clause("pushing-a-blob-in-chunks", MAY, "after a 416 the upload goes on where GET says it is")
def test_on_after_416(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"01234", 0)
    assert repository.chunk(first.location, b"89", 8).status == 416
    state = repository.client.call("GET", first.location)
    assert (state.status, state.headers["range"]) == (204, "0-4")
    last = repository.chunk(state.location, b"56789", 5)
    assert repository.put(last.location, digest_of(b"0123456789")).status == 201


@clause("pushing-a-blob-in-chunks", MUST, "GET of an upload is 204, with its location and range")
def test_upload_status(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"0123", 0)
    state = repository.client.call("GET", first.location)
    assert (state.status, state.headers["range"]) == (204, "0-3")
    assert UUID.search(state.location)


@clause("pushing-a-blob-in-chunks", MUST, "the digest is that of the whole, not of the last chunk")
def test_digest_is_of_the_whole(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"first,", 0)
    answer = repository.put(first.location, digest_of(b"last"), b"last")
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@clause("endpoints", DEFINED, "an upload that there is not is 404 BLOB_UPLOAD_UNKNOWN")
def test_unknown_upload(repository: Repository) -> None:
    location = repository.begin()
    gone = UUID.sub(str(uuid.uuid4()), location.partition("?")[0])
    answer = repository.put(gone, digest_of(b"x"), b"x")
    assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


@clause("endpoints", DEFINED, "DELETE of an upload is 204, and it is gone")
def test_cancel(repository: Repository) -> None:
    first = repository.chunk(repository.begin(), b"0123", 0)
    assert repository.client.call("DELETE", first.location).status == 204
    assert repository.client.call("GET", first.location).status == 404


@clause("endpoints", DEFINED, "an upload that has ended is gone")
def test_ended_upload(repository: Repository) -> None:
    location = repository.begin()
    assert repository.put(location, digest_of(b"ended"), b"ended").status == 201
    assert repository.client.call("GET", location).status == 404


# --- mounts


@clause("mounting-a-blob-from-another-repository", MUST, "a mount is 201, with the Location of the blob")
def test_mount(repository: Repository, other: Repository) -> None:
    other.push_blob(b"to be mounted")
    answer = repository.call("POST", f"blobs/uploads/?mount={digest_of(b'to be mounted')}&from={other.name}")
    assert answer.status == 201
    assert repository.client.call("GET", answer.location).body == b"to be mounted"
    assert _held(repository, b"to be mounted")


@clause("mounting-a-blob-from-another-repository", SHOULD, "what cannot be mounted is 202, and an upload has begun")
def test_mount_of_nothing(repository: Repository, other: Repository) -> None:
    other.push_blob(b"something else")
    answer = repository.call("POST", f"blobs/uploads/?mount={digest_of(b'nothing')}&from={other.name}")
    assert answer.status == 202
    assert repository.put(answer.location, digest_of(b"nothing"), b"nothing").status == 201


@clause("mounting-a-blob-from-another-repository", MAY, "a mount without from is 201, or an upload begins")
def test_mount_without_from(repository: Repository, other: Repository) -> None:
    other.push_blob(b"without from")
    answer = repository.call("POST", f"blobs/uploads/?mount={digest_of(b'without from')}")
    assert answer.status in (201, 202)
    assert UUID.search(answer.location) if answer.status == 202 else _held(repository, b"without from")


# --- manifests


@clause("pushing-manifests", MUST, "a pushed manifest is 201, and its Location is where it can be pulled")
def test_push_manifest(repository: Repository) -> None:
    manifest = repository.image("push manifest")
    answer = repository.push("v1", manifest)
    assert answer.status == 201
    got = repository.client.call("GET", answer.location, headers={"Accept": OCI_MANIFEST})
    assert got.body == encode(manifest)


@clause("pushing-manifests", MUST, "a manifest can be pushed by its digest")
def test_push_by_digest(repository: Repository) -> None:
    manifest = repository.image("push by digest")
    assert repository.push("", manifest).status == 201
    assert repository.get(digest_of(encode(manifest))).body == encode(manifest)


@clause("pushing-manifests", MUST, "Docker-Content-Digest is the digest that the client has")
def test_push_digest_header(repository: Repository) -> None:
    manifest = repository.image("digest header")
    assert repository.push("v1", manifest).headers["docker-content-digest"] == digest_of(encode(manifest))


@clause("pushing-manifests", MUST, "the manifest is kept in the very bytes that came")
def test_bytes_are_kept(repository: Repository) -> None:
    odd = b'  {"unknown":[1,2 ,3],' + encode(repository.image("odd"))[1:] + b"\n\n"
    answer = repository.call("PUT", "manifests/odd", odd, {"Content-Type": OCI_MANIFEST})
    assert answer.status == 201
    assert repository.get("odd").body == odd


@clause("pushing-manifests", MUST, "a manifest under the digest of another is refused")
def test_push_under_wrong_digest(repository: Repository) -> None:
    answer = repository.push(MISSING, repository.image("wrong digest"))
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert repository.get(MISSING).status == 404


@clause("pushing-manifests", DEFINED, "a tag that is pushed again names the new manifest; the old one stays")
def test_tag_moves(repository: Repository) -> None:
    old = repository.push_image("v1", "old")
    new = repository.push_image("v1", "new")
    assert repository.get("v1").body == new
    assert repository.get(digest_of(old)).body == old


@clause("pushing-manifests", SHOULD, "parameters of the Content-Type are ignored")
def test_push_with_parameters(repository: Repository) -> None:
    assert repository.push("v1", repository.image("parameters"), f"{OCI_MANIFEST}; charset=utf-8").status == 201


@clause("pushing-manifests", MUST, "a mediaType other than the Content-Type is refused")
def test_push_of_another_type(repository: Repository) -> None:
    answer = repository.push("v1", repository.image("another type"), DOCKER_MANIFEST)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])


@clause("pushing-manifests", MAY, "the list of blobs is empty")
def test_manifest_without_layers(repository: Repository) -> None:
    manifest = {**repository.image("no layers"), "layers": []}
    assert repository.push("v1", manifest).status == 201
    assert repository.get("v1").body == encode(manifest)


@clause("pushing-manifests", DEFINED, "an artifact with an artifactType and the empty config")
def test_artifact(repository: Repository) -> None:
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.thing",
        "config": repository.push_blob(b"{}", OCI_EMPTY),
        "layers": [repository.push_blob(b"{}", OCI_EMPTY)],
    }
    assert repository.push("thing", manifest).status == 201
    assert repository.get("thing").body == encode(manifest)


@clause("pushing-manifests", DEFINED, "an index, and an index in it")
def test_nested_index(repository: Repository) -> None:
    child = repository.push_image("child", "nested")
    inner = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(child, OCI_MANIFEST)]}
    assert repository.push("inner", inner).status == 201
    outer = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(encode(inner), OCI_INDEX)]}
    assert repository.push("outer", outer).status == 201
    assert repository.get("outer").body == encode(outer)


@clause("pushing-manifests", SHOULD, "a manifest of 4 megabytes is taken")
def test_manifest_of_4_megabytes(repository: Repository) -> None:
    manifest = repository.image("large")
    manifest["annotations"] = {"filling": "x" * (4_000_000 - len(encode(manifest)) - 40)}
    raw = encode(manifest)
    assert 3_999_000 < len(raw) <= 4_000_000
    assert repository.push("large", manifest).status == 201
    assert repository.get("large").body == raw


@clause("pushing-manifests", SHOULD, "a manifest over the limit is 413")
def test_manifest_too_large(repository: Repository) -> None:
    manifest = repository.image("too large", annotations={"filling": "x" * 5_000_000})
    assert repository.push("large", manifest).status == 413
    assert repository.get("large").status == 404


@pytest.mark.parametrize(
    "raw",
    [b"", b"no JSON", b"[]", b"{}", b'{"schemaVersion": 2}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "text", "list", "object", "no config", "not UTF-8", "deep"],
)
@clause("error-codes", DEFINED, "what is no manifest is 400 MANIFEST_INVALID")
def test_no_manifest(repository: Repository, raw: bytes) -> None:
    answer = repository.call("PUT", "manifests/bad", raw, {"Content-Type": OCI_MANIFEST})
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert repository.get("bad").status == 404


@pytest.mark.parametrize("part", ["config", "layers"])
@clause("push", MUST, "a manifest that is refused for a blob that is not there is MANIFEST_BLOB_UNKNOWN")
def test_missing_part(repository: Repository, part: str) -> None:
    manifest = repository.image(f"missing {part}")
    gone: dict[str, Any] = descriptor(b"never pushed", OCI_CONFIG if part == "config" else OCI_LAYER)
    manifest[part] = gone if part == "config" else [gone]
    answer = repository.push("v1", manifest)
    assert 400 <= answer.status < 500
    assert set(answer.codes) == {"MANIFEST_BLOB_UNKNOWN"}
    assert repository.get("v1").status == 404


@clause("push", MUST, "an index that is refused for a manifest that is not there is MANIFEST_BLOB_UNKNOWN")
def test_missing_child(repository: Repository) -> None:
    repository.push_image("v1", "missing child")
    gone = descriptor(b"never pushed", OCI_MANIFEST)
    answer = repository.push("all", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [gone]})
    assert 400 <= answer.status < 500
    assert set(answer.codes) == {"MANIFEST_BLOB_UNKNOWN"}


@clause("push", MUST, "a manifest whose subject is not there is taken")
def test_missing_subject(repository: Repository) -> None:
    subject = descriptor(b"never pushed", OCI_MANIFEST)
    assert repository.push("v1", repository.image("missing subject", subject=subject)).status == 201


@clause("pushing-manifests-with-subject", MUST, "OCI-Subject is the digest of the subject")
def test_subject_header(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    answer = repository.push("", repository.image("refers", subject=descriptor(subject, OCI_MANIFEST)))
    assert (answer.status, answer.headers.get("oci-subject")) == (201, digest_of(subject))


@clause("pushing-manifests-with-subject", MUST, "OCI-Subject is said for an index too")
def test_subject_header_of_index(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject of index")
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(subject, OCI_MANIFEST)],
        "subject": descriptor(subject, OCI_MANIFEST),
    }
    answer = repository.push("", index)
    assert (answer.status, answer.headers.get("oci-subject")) == (201, digest_of(subject))
