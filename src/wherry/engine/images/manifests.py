"""The manifests of an image: of an index all that it lists, here or not, else the one that the image came with.

Attestations are manifests of an index that say by an annotation which other manifest they speak of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from wherry.engine.images.model import ImageRecord, ImageUser
from wherry.engine.images.platforms import platform_of
from wherry.lib.errors import WherryError
from wherry.oci.digest import Digest
from wherry.oci.index import REFERENCE_DIGEST, REFERENCE_TYPE, parse_index
from wherry.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MANIFEST_MAX,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Platform,
    parse_manifest,
)
from wherry.state import content as content_state
from wherry.transfer.store import ImageStore
from wherry.wire.image import Attestation, ImageData, ManifestSize, ManifestSummary, UnpackedSize

ATTESTATION = "attestation-manifest"


class Manifests:
    """Reads the manifests of images out of a store."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    def descriptor(self, record: ImageRecord) -> dict[str, Any] | None:
        """What the image's name leads to at a registry, its index or its manifest; None where it came without."""
        digest = record.document.index or record.document.manifest
        raw = self._read(digest)
        if raw is None:
            return None
        index = bool(record.document.index)
        return _plain(Descriptor(media_type=_media_type(raw, index=index), digest=digest, size=len(raw)))

    def of(self, record: ImageRecord, users: Sequence[ImageUser]) -> list[ManifestSummary]:
        """A summary of each, in the index's order."""
        document = record.document
        raw = self._read(document.index)
        if raw is None:
            own = self._read(document.manifest)
            if own is None:
                return []
            found = Descriptor(media_type=_media_type(own, index=False), digest=document.manifest, size=len(own))
            return [self._summary(found, record, users)]
        try:
            listed = parse_index(raw).manifests
        except WherryError:
            return []
        return [self._summary(one, record, users) for one in listed]

    def _summary(self, found: Descriptor, record: ImageRecord, users: Sequence[ImageUser]) -> ManifestSummary:
        annotations = found.annotations or {}
        available, content = self._content(found.digest)
        unpacked = record.size if found.digest == record.document.manifest else 0
        attests = annotations.get(REFERENCE_TYPE) == ATTESTATION
        image = None
        if not attests:
            image = ImageData(
                platform=_plain(found.platform or (platform_of(record) if unpacked else Platform())),
                containers=[user.container_id for user in users] if unpacked else [],
                size=UnpackedSize(unpacked=unpacked),
            )
        return ManifestSummary(
            id=found.digest,
            descriptor=_plain(found),
            available=available,
            size=ManifestSize(content=content, total=content + unpacked),
            kind="attestation" if attests else "image",
            image_data=image,
            attestation_data=Attestation(for_=annotations.get(REFERENCE_DIGEST, "")) if attests else None,
        )

    def _content(self, digest: str) -> tuple[bool, int]:
        """Whether the manifest and all that it refers to are here, and the bytes of what is."""
        raw = self._read(digest)
        if raw is None:
            return False, 0
        try:
            manifest = parse_manifest(raw)
        except WherryError:
            return False, len(raw)
        parts = {one.digest for one in (manifest.config, *manifest.layers)}
        sizes = [content_state.size_of(self._store.database, Digest(part)) for part in parts]
        return None not in sizes, len(raw) + sum(size or 0 for size in sizes)

    def _read(self, digest: str) -> bytes | None:
        """A manifest or an index, if it is here and whole."""
        if not digest:
            return None
        try:
            return self._store.content.read(Digest(digest), MANIFEST_MAX)
        except WherryError:
            return None


def _media_type(raw: bytes, *, index: bool) -> str:
    """What a manifest says it is; an OCI one need not say it."""
    try:
        said = msgspec.json.decode(raw, type=Mapping[str, Any]).get("mediaType")
    except msgspec.DecodeError:
        said = None
    known = (DOCKER_LIST, OCI_INDEX) if index else (DOCKER_MANIFEST, OCI_MANIFEST)
    return said if said in known else known[1]


def _plain(value: Descriptor | Platform) -> dict[str, Any]:
    """As the image specification writes it. Docker always writes the system and the architecture."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return {"architecture": "", "os": "", **plain} if isinstance(value, Platform) else plain
