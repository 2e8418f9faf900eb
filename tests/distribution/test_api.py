"""distribution-spec, "API": what all workflows share."""

from __future__ import annotations

import pytest

from distribution.clauses import DEFINED, MUST, clause
from distribution.client import Client, Repository

CODES = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
    "UNSUPPORTED", "TOOMANYREQUESTS",
}  # fmt: skip


@clause("determining-support", DEFINED, "GET /v2/ is 200")
def test_support(client: Client) -> None:
    assert client.call("GET", "/v2/").status == 200


@clause("endpoints", DEFINED, "a name that is none is refused, and nothing comes of it")
@pytest.mark.parametrize("name", ["UPPER", "a..b", "-a", "a/", "a//b", "a%2f..%2fb", "a/-b", "%C3%A9"])
def test_bad_name(client: Client, name: str) -> None:
    answer = client.call("GET", f"/v2/{name}/tags/list")
    assert 300 <= answer.status < 500
    answer = client.call("POST", f"/v2/{name}/blobs/uploads/")
    assert 300 <= answer.status < 500
    assert "range" not in answer.headers


@clause("error-codes", MUST, "an error in JSON is a list of errors, each with a code of capital letters and _")
@clause("error-codes", MUST, "the code is one of the specification's")
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", "manifests/none"),
        ("GET", f"manifests/sha256:{'0' * 64}"),
        ("GET", f"blobs/sha256:{'0' * 64}"),
        ("GET", "blobs/sha256:short"),
        ("PUT", "manifests/v1"),
        ("DELETE", f"blobs/sha256:{'0' * 64}"),
        ("GET", "blobs/uploads/4c5e1a5f-7b3b-4d6c-9a7e-0e4b2f1c8d9a"),
        ("POST", "tags/list"),
    ],
)
def test_form_of_errors(repository: Repository, method: str, rest: str) -> None:
    repository.push_image("v2", "errors")
    answer = repository.call(method, rest)
    assert 400 <= answer.status < 500
    if "json" not in answer.headers.get("content-type", ""):
        return
    errors = answer.json()["errors"]
    assert errors
    assert {one["code"] for one in errors} <= CODES
    assert all(isinstance(one.get("message", ""), str) for one in errors)
