"""distribution-spec, "Content Discovery": tags and referrers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from distribution.clauses import DEFINED, MAY, MUST, MUST_NOT, SHOULD, clause
from distribution.client import (
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Answer,
    Repository,
    descriptor,
    digest_of,
    encode,
)

LINK = re.compile(r'<([^>]+)>;\s*rel="next"')
SBOM, SIGNATURE = "application/vnd.example.sbom", "application/vnd.example.signature"


def _tags(repository: Repository, query: str = "") -> Any:
    answer = repository.call("GET", f"tags/list{query}")
    assert answer.status == 200, answer
    return answer.json()["tags"]


@pytest.fixture
def tagged(repository: Repository) -> Repository:
    """A repository with the tags a to e, pushed in another order."""
    manifest = repository.image("tagged")
    for tag in "dbeac":
        assert repository.push(tag, manifest).status == 201
    return repository


@clause("listing-tags", MUST, "the tags of a repository are 200, with its name and their list")
def test_tags(tagged: Repository) -> None:
    answer = tagged.call("GET", "tags/list")
    assert (answer.status, answer.json()["name"]) == (200, tagged.name)
    assert sorted(answer.json()["tags"]) == ["a", "b", "c", "d", "e"]


@clause("listing-tags", MUST, "the tags are in lexical order, whatever their case")
def test_order_of_tags(repository: Repository) -> None:
    manifest = repository.image("order")
    ordered = ["1.10", "alpha", "Beta", "Delta", "epsilon", "Eta", "gamma", "Iota", "kappa", "Zeta"]
    for tag in sorted(ordered, key=lambda tag: tag[::-1]):
        assert repository.push(tag, manifest).status == 201
    assert _tags(repository) == ordered


@clause("listing-tags", MAY, "a repository without tags has an empty list")
def test_no_tags(repository: Repository) -> None:
    repository.push("", repository.image("no tags"))
    assert _tags(repository) == []


@clause("pushing-manifests", MUST, "a repository that there is not is 404")
def test_no_repository(repository: Repository) -> None:
    assert repository.get("v1").status == 404
    answer = repository.call("GET", "tags/list")
    assert (answer.status, answer.codes) == (404, ["NAME_UNKNOWN"])


@clause("listing-tags", MUST, "n asks for so many")
def test_n(tagged: Repository) -> None:
    assert _tags(tagged, "?n=2") == ["a", "b"]


@clause("listing-tags", MUST, "n over the number of tags gives all, and no Link")
def test_large_n(tagged: Repository) -> None:
    answer = tagged.call("GET", "tags/list?n=100")
    assert (len(answer.json()["tags"]), "link" in answer.headers) == (5, False)


@clause("listing-tags", MUST, "n=0 gives an empty list")
@clause("listing-tags", MUST_NOT, "n=0 gives no Link")
def test_n_of_0(tagged: Repository) -> None:
    answer = tagged.call("GET", "tags/list?n=0")
    assert (answer.status, answer.json()["tags"], "link" in answer.headers) == (200, [], False)


@clause("listing-tags", MUST, "last begins behind that tag")
def test_last(tagged: Repository) -> None:
    assert _tags(tagged, "?n=2&last=b") == ["c", "d"]


@clause("listing-tags", DEFINED, "last needs no n")
def test_last_without_n(tagged: Repository) -> None:
    assert _tags(tagged, "?last=c") == ["d", "e"]


@clause("listing-tags", DEFINED, "last need not be there, but is a place in the order")
def test_last_that_is_not_there(tagged: Repository) -> None:
    assert _tags(tagged, "?n=2&last=bb") == ["c", "d"]


@clause("listing-tags", MUST, "Link leads with rel=next through all the tags")
def test_link(tagged: Repository) -> None:
    pages, where = [], f"/v2/{tagged.name}/tags/list?n=2"
    while where:
        answer = tagged.client.call("GET", where)
        pages.append(answer.json()["tags"])
        match = LINK.fullmatch(answer.headers.get("link", ""))
        where = match[1] if match else ""
    assert pages == [["a", "b"], ["c", "d"], ["e"]]


# --- referrers


def _referrers(repository: Repository, subject: bytes, query: str = "") -> Answer:
    answer = repository.call("GET", f"referrers/{digest_of(subject)}{query}")
    assert answer.status == 200, answer
    return answer


def _refer(repository: Repository, subject: bytes, note: str, **more: Any) -> dict[str, Any]:
    """Push an image that refers to ``subject``; its descriptor as it is to be listed, without artifactType."""
    manifest = repository.image(note, subject=descriptor(subject, OCI_MANIFEST), **more)
    assert repository.push("", manifest).status == 201
    listed = descriptor(encode(manifest), OCI_MANIFEST)
    return {**listed, "annotations": more["annotations"]} if "annotations" in more else listed


def _sorted(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(manifests, key=lambda one: one["digest"])


@clause("listing-referrers", MUST, "the answer is 200 and an image index")
@clause("listing-referrers", MUST, "without referrers the list is empty")
def test_no_referrers(repository: Repository) -> None:
    answer = _referrers(repository, repository.push_image("v1", "no referrers"))
    assert answer.headers["content-type"] == OCI_INDEX
    index = answer.json()
    assert (index["schemaVersion"], index["mediaType"], index["manifests"]) == (2, OCI_INDEX, [])


@clause("listing-referrers", MUST_NOT, "a manifest that is not there is no 404")
def test_referrers_of_nothing(repository: Repository) -> None:
    repository.push_image("v1", "nothing")
    assert _referrers(repository, b"never pushed").json()["manifests"] == []


@clause("listing-referrers", MUST, "what is no digest is 400")
def test_referrers_of_no_digest(repository: Repository) -> None:
    repository.push_image("v1", "no digest")
    assert repository.call("GET", "referrers/sha256:xyz").status == 400


@clause("listing-referrers", MUST, "artifactType is that of the manifest")
@clause("listing-referrers", MUST, "annotations are those of the manifest")
def test_referrers(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    sbom = _refer(repository, subject, "sbom", artifactType=SBOM, annotations={"org.example.format": "json"})
    signature = _refer(repository, subject, "signature", artifactType=SIGNATURE)
    expected = [{**sbom, "artifactType": SBOM}, {**signature, "artifactType": SIGNATURE}]
    assert _sorted(_referrers(repository, subject).json()["manifests"]) == _sorted(expected)


@clause("listing-referrers", MUST, "artifactType is the config's media type where the manifest has none")
def test_artifact_type_of_config(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    listed = _refer(repository, subject, "config type")
    assert _referrers(repository, subject).json()["manifests"] == [{**listed, "artifactType": OCI_CONFIG}]


@clause("listing-referrers", MUST, "an index with a subject is listed, without artifactType when it has none")
def test_index_refers(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(subject, OCI_MANIFEST)],
        "subject": descriptor(subject, OCI_MANIFEST),
        "annotations": {"of": "an index"},
    }
    assert repository.push("", index).status == 201
    listed = {**descriptor(encode(index), OCI_INDEX), "annotations": {"of": "an index"}}
    assert _referrers(repository, subject).json()["manifests"] == [listed]


@clause("listing-referrers", MUST, "a referrer of another repository is not listed")
def test_referrer_of_another_repository(repository: Repository, other: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    _refer(other, subject, "elsewhere")
    assert _referrers(repository, subject).json()["manifests"] == []


@clause("listing-referrers", SHOULD, "artifactType filters")
@clause("listing-referrers", MUST, "OCI-Filters-Applied says that it has")
def test_filter(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    sbom = _refer(repository, subject, "sbom", artifactType=SBOM)
    _refer(repository, subject, "signature", artifactType=SIGNATURE)
    answer = _referrers(repository, subject, f"?artifactType={SBOM}")
    assert [one["digest"] for one in answer.json()["manifests"]] == [sbom["digest"]]
    assert answer.headers["oci-filters-applied"] == "artifactType"


@clause("listing-referrers", MUST, "a filter that nothing passes gives an empty list")
def test_filter_that_nothing_passes(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    _refer(repository, subject, "sbom", artifactType=SBOM)
    assert _referrers(repository, subject, "?artifactType=application/vnd.none").json()["manifests"] == []


@clause("listing-referrers", DEFINED, "a referrer that came before its subject is listed")
def test_referrer_comes_first(repository: Repository) -> None:
    subject = repository.image("late")
    listed = _refer(repository, encode(subject), "early", artifactType=SBOM)
    assert repository.push("v1", subject).status == 201
    assert [one["digest"] for one in _referrers(repository, encode(subject)).json()["manifests"]] == [listed["digest"]]


@clause("listing-referrers", DEFINED, "a referrer that has been deleted is not listed")
def test_deleted_referrer(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    listed = _refer(repository, subject, "deleted", artifactType=SBOM)
    assert repository.call("DELETE", f"manifests/{listed['digest']}").status == 202
    assert _referrers(repository, subject).json()["manifests"] == []


@clause("enabling-the-referrers-api", MUST, "a manifest that is listed under the referrers tag is listed by the API")
def test_referrers_tag(repository: Repository) -> None:
    subject = repository.push_image("v1", "subject")
    listed = _refer(repository, subject, "tag schema", artifactType=SBOM, config=repository.push_blob(b"{}", OCI_EMPTY))
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{**listed, "artifactType": SBOM}]}
    assert repository.push(digest_of(subject).replace(":", "-"), index).status == 201
    assert [one["digest"] for one in _referrers(repository, subject).json()["manifests"]] == [listed["digest"]]
