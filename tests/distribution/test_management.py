"""distribution-spec, "Content Management": deleting tags, manifests and blobs."""

from __future__ import annotations

from distribution.clauses import DEFINED, MUST, clause
from distribution.client import Repository, digest_of

MISSING = f"sha256:{'0' * 64}"


@clause("deleting-tags", MUST, "DELETE of a tag is 202, or 400 or 405 where tags are not deleted")
def test_delete_tag_or_refuse(repository: Repository) -> None:
    repository.push_image("v1", "tag or refuse")
    assert repository.call("DELETE", "manifests/v1").status in (202, 400, 405)


@clause("deleting-tags", MUST, "DELETE of a tag is 202")
@clause("deleting-tags", DEFINED, "a deleted tag is 404")
def test_delete_tag(repository: Repository) -> None:
    raw = repository.push_image("v1", "delete tag")
    repository.push_image("v2", "delete tag")
    assert repository.call("DELETE", "manifests/v1").status == 202
    assert repository.get("v1").status == 404
    assert repository.call("GET", "tags/list").json()["tags"] == ["v2"]
    assert repository.get(digest_of(raw)).status == 200


@clause("endpoints", DEFINED, "DELETE of a tag that there is not is 404")
def test_delete_missing_tag(repository: Repository) -> None:
    repository.push_image("v1", "missing tag")
    assert repository.call("DELETE", "manifests/v2").status == 404


@clause("deleting-manifests", MUST, "DELETE of a manifest is 202")
@clause("deleting-manifests", DEFINED, "a deleted manifest is 404")
def test_delete_manifest(repository: Repository) -> None:
    raw = repository.push_image("v1", "delete manifest")
    assert repository.call("DELETE", f"manifests/{digest_of(raw)}").status == 202
    assert repository.get(digest_of(raw)).status == 404


@clause("deleting-manifests", DEFINED, "every tag of a deleted manifest is 404")
def test_tags_of_a_deleted_manifest(repository: Repository) -> None:
    manifest = repository.image("tags of a deleted")
    for tag in ("v1", "v2"):
        digest = repository.push(tag, manifest).headers["docker-content-digest"]
    repository.push_image("other", "another")
    assert repository.call("DELETE", f"manifests/{digest}").status == 202
    assert (repository.get("v1").status, repository.get("v2").status, repository.get("other").status) == (404, 404, 200)
    assert repository.call("GET", "tags/list").json()["tags"] == ["other"]


@clause("deleting-manifests", MUST, "DELETE of a manifest in a repository that there is not is 404")
def test_delete_manifest_of_no_repository(repository: Repository) -> None:
    assert repository.call("DELETE", f"manifests/{MISSING}").status == 404


@clause("endpoints", DEFINED, "DELETE of a manifest that there is not is 404")
def test_delete_missing_manifest(repository: Repository) -> None:
    repository.push_image("v1", "missing manifest")
    assert repository.call("DELETE", f"manifests/{MISSING}").status == 404


@clause("deleting-manifests", DEFINED, "a deleted manifest can be pushed again")
def test_push_a_deleted_manifest(repository: Repository) -> None:
    raw = repository.push_image("v1", "again")
    assert repository.call("DELETE", f"manifests/{digest_of(raw)}").status == 202
    assert repository.push_image("v1", "again") == raw
    assert repository.get("v1").body == raw


@clause("deleting-blobs", MUST, "DELETE of a blob is 202")
@clause("deleting-blobs", DEFINED, "a deleted blob is 404")
def test_delete_blob(repository: Repository) -> None:
    repository.push_blob(b"to be deleted")
    assert repository.call("DELETE", f"blobs/{digest_of(b'to be deleted')}").status == 202
    assert repository.call("GET", f"blobs/{digest_of(b'to be deleted')}").status == 404


@clause("deleting-blobs", MUST, "DELETE of a blob that is not found is 404")
def test_delete_missing_blob(repository: Repository) -> None:
    repository.push_blob(b"not deleted")
    assert repository.call("DELETE", f"blobs/{MISSING}").status == 404


@clause("deleting-blobs", DEFINED, "a blob deleted here stays in other repositories")
def test_blob_stays_elsewhere(repository: Repository, other: Repository) -> None:
    repository.push_blob(b"in both")
    other.push_blob(b"in both")
    assert repository.call("DELETE", f"blobs/{digest_of(b'in both')}").status == 202
    assert other.call("GET", f"blobs/{digest_of(b'in both')}").body == b"in both"
