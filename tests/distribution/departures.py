"""Where a registry is known to do otherwise than a clause says, and why; its test is then expected to fail.

By program and version (empty: any), then by test. An entry that no longer holds fails the run (``xfail_strict``).
"""

from __future__ import annotations

_NO_REFERRERS = "has no referrers API, which came with 1.1"
_UNSORTED = "lists tags as the file system does, without n and last"
_IN_ORDER = "does not look at Content-Range"
_NO_TAG_DELETION = "deletes no tags, and calls that DIGEST_INVALID"
_LENGTH = "answers 416 with the Content-Length of the blob, and the connection breaks"

DEPARTURES: dict[tuple[str, str], dict[str, str]] = {
    ("docker-registry", "2.8"): {
        "test_discovery.py::test_order_of_tags": _UNSORTED,
        **{
            f"test_discovery.py::{name}": _UNSORTED
            for name in ("test_n", "test_n_of_0", "test_last", "test_last_without_n", "test_last_that_is_not_there")
        },
        "test_discovery.py::test_link": _UNSORTED,
        "test_discovery.py::test_no_tags": "answers NAME_UNKNOWN",
        **{
            f"test_discovery.py::{name}": _NO_REFERRERS
            for name in (
                *("test_no_referrers", "test_referrers_of_nothing", "test_referrers_of_no_digest", "test_referrers"),
                *("test_artifact_type_of_config", "test_index_refers", "test_referrer_of_another_repository"),
                *("test_filter", "test_filter_that_nothing_passes", "test_referrer_comes_first"),
                *("test_deleted_referrer", "test_referrers_tag"),
            )
        },
        "test_push.py::test_subject_header": _NO_REFERRERS,
        "test_push.py::test_subject_header_of_index": _NO_REFERRERS,
        "test_management.py::test_delete_tag": _NO_TAG_DELETION,
        "test_management.py::test_delete_missing_tag": _NO_TAG_DELETION,
        "test_pull.py::test_range_without_bytes": _LENGTH,
        "test_pull.py::test_range_of_another_unit": _LENGTH,
        "test_push.py::test_single_post_is_done": "begins an upload, as it may",
        "test_push.py::test_first_chunk_out_of_order": _IN_ORDER,
        "test_push.py::test_chunk_with_a_gap": _IN_ORDER,
        "test_push.py::test_chunk_sent_again": _IN_ORDER,
        "test_push.py::test_final_chunk_out_of_order": _IN_ORDER,
        "test_push.py::test_on_after_416": _IN_ORDER,
        "test_push.py::test_unknown_upload": "answers BLOB_UPLOAD_INVALID where its URL's state does not fit",
        "test_push.py::test_manifest_too_large": "answers 400",
        "test_push.py::test_no_manifest[object]": "answers 500",
        "test_push.py::test_no_manifest[no config]": "answers DIGEST_INVALID and MANIFEST_BLOB_UNKNOWN",
    },
}


def departures(name: str) -> dict[str, str]:
    """Reasons by ``file.py::test`` or ``file.py::test[id]``."""
    return {test: why for (program, _), known in DEPARTURES.items() if program == name for test, why in known.items()}
