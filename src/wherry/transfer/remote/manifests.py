"""Manifests off the wire: bounded, of a known type, with the digest that was asked for.

distribution-spec, "Pulling manifests" (end-3); image-spec, manifest.md and image-index.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from wherry.lib.errors import Internal, InvalidArgument
from wherry.oci.digest import digest_of, is_digest, parse_digest
from wherry.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, INDEXES, MANIFEST_MAX, MANIFESTS, OCI_INDEX, OCI_MANIFEST
from wherry.oci.reference import Reference
from wherry.transfer.remote.faults import syntax_error
from wherry.transfer.remote.transport import Response

ACCEPT = f"{DOCKER_LIST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {OCI_MANIFEST}"
SCHEMA1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
UNTOLD = frozenset({"", "application/json", "application/octet-stream", "text/plain"})
"""Content types that say nothing: the document itself is asked."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or an index as the registry sent it; ``raw`` is empty when only its head was asked for."""

    media_type: str
    digest: str
    raw: bytes


def read_manifest(response: Response, name: Reference, reference: str) -> Fetched:
    """The manifest in an answer to GET. Raises Internal (another digest), InvalidArgument (schema 1, no manifest)."""
    limit = f"manifest is larger than the limit of {MANIFEST_MAX} bytes"
    if response.length is not None and response.length > MANIFEST_MAX:
        raise InvalidArgument(limit)
    raw = response.read(MANIFEST_MAX)
    digest = digest_of(raw)
    told = reference if is_digest(reference) else response.header("Docker-Content-Digest")
    if told.startswith("sha256:") and told != digest:
        raise Internal(f"manifest verification failed for digest {told}")
    return Fetched(_checked_type(raw, _content_type(response), name, reference), digest, raw)


def read_head(response: Response, name: Reference, reference: str) -> Fetched | None:
    """What an answer to HEAD tells; None when it does not tell the digest."""
    digest = reference if is_digest(reference) else response.header("Docker-Content-Digest")
    if not is_digest(digest):
        return None
    media_type = _content_type(response)
    if media_type in SCHEMA1:
        raise schema1(name, reference)
    return None if media_type in UNTOLD else Fetched(media_type, parse_digest(digest), b"")


def _content_type(response: Response) -> str:
    return response.header("Content-Type").partition(";")[0].strip().lower()


def _checked_type(raw: bytes, content_type: str, name: Reference, reference: str) -> str:
    try:
        document: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if raw.lstrip()[:1] == b"{":
            raise InvalidArgument(f"invalid manifest: {error}") from None
        known = content_type in MANIFESTS | INDEXES | SCHEMA1
        raise Internal(("" if known else "error unmarshalling content: ") + syntax_error(raw)) from None
    if not isinstance(document, dict):
        raise InvalidArgument("invalid manifest: expected an object")
    own = document.get("mediaType")
    media_type = content_type
    if content_type in UNTOLD:
        guessed = OCI_INDEX if "manifests" in document else OCI_MANIFEST
        media_type = own if isinstance(own, str) and own else guessed
    if media_type in SCHEMA1 or document.get("schemaVersion") == 1:
        raise schema1(name, reference)
    # A document that is both may be read as one thing here and as another elsewhere (CVE-2021-41190).
    if media_type in MANIFESTS and "manifests" in document:
        raise InvalidArgument("invalid manifest: it has manifests besides its layers")
    if media_type in INDEXES and ("layers" in document or "fsLayers" in document):
        raise InvalidArgument("invalid index: it has layers besides its manifests")
    return media_type


def schema1(name: Reference, reference: str) -> InvalidArgument:
    """The refusal of the oldest formats, in Docker's words."""
    full = f"{name.name}@{reference}" if is_digest(reference) else f"{name.name}:{reference}"
    return InvalidArgument(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. "
        f"Suggest the author of {full} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. "
        "More information at https://docs.docker.com/go/deprecated-image-specs/"
    )
