"""Indexes (OCI image-index.md; Docker's manifest list) and the choice of one manifest for this machine."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.oci.manifest import MANIFEST_MAX, Descriptor, Platform

REFERENCE_TYPE = "vnd.docker.reference.type"
"""Annotation of an attestation, which is no image."""
REFERENCE_DIGEST = "vnd.docker.reference.digest"
"""The same: the digest of the manifest that it speaks of."""
IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
NESTING_MAX = 8
"""Indexes inside each other that are followed to an image."""


class Index(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Manifests, or further indexes, of one name."""

    schema_version: int = 2
    media_type: str = ""
    manifests: list[Descriptor] = msgspec.field(default_factory=list)
    annotations: dict[str, str] | None = None


def parse_index(raw: bytes) -> Index:
    """The index that ``raw`` holds. Raises InvalidArgument."""
    if len(raw) > MANIFEST_MAX:
        raise InvalidArgument(f"index of {len(raw)} bytes is larger than the limit of {MANIFEST_MAX}")
    try:
        return msgspec.json.decode(raw, type=Index)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"invalid index: {error}") from None


def images_of(manifests: Sequence[Descriptor]) -> list[Descriptor]:
    """All but the attestations."""
    return [one for one in manifests if not (one.annotations or {}).get(REFERENCE_TYPE)]


def attestations_of(manifests: Sequence[Descriptor], digest: str) -> list[Descriptor]:
    """The attestations that speak of the manifest ``digest``."""
    marked = [one for one in manifests if (one.annotations or {}).get(REFERENCE_TYPE)]
    return [one for one in marked if (one.annotations or {}).get(REFERENCE_DIGEST) == digest]


def choose(manifests: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """The manifest for ``wanted``: an exact match, else one without a platform, else the only one there is."""
    images = images_of(manifests)
    for candidate in images:
        if candidate.platform is not None and _fits(candidate.platform, wanted):
            return candidate
    for candidate in images:
        if candidate.platform is None:
            return candidate
    return images[0] if len(images) == 1 else None


def _fits(offered: Platform, wanted: Platform) -> bool:
    same = (offered.os, offered.architecture) == (wanted.os, wanted.architecture)
    return same and (not wanted.variant or offered.variant in ("", wanted.variant))
