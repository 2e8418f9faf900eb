"""Manifests and indexes as the registry must understand them: type, what they name, and what they are about.

The bytes are never changed; a manifest is kept and served as it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from wherry.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, INDEXES, MANIFEST_MAX, MANIFESTS, OCI_INDEX, OCI_MANIFEST
from wherry.registry import names
from wherry.registry.errors import BadManifest

__all__ = ["DOCKER_LIST", "DOCKER_MANIFEST", "INDEXES", "MANIFESTS", "MANIFEST_MAX", "OCI_INDEX", "OCI_MANIFEST"]

UNNAMED = frozenset({"", "text/plain", "application/json", "application/octet-stream"})
"""Content types that say nothing: the manifest's own word counts."""
_NONDISTRIBUTABLE = (".nondistributable.", ".foreign.")


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A pointer to content, as far as the registry looks at it."""

    media_type: str = ""
    digest: str
    size: int
    urls: list[str] | None = None
    platform: dict[str, Any] | None = None
    artifact_type: str | None = None

    @property
    def foreign(self) -> bool:
        """Its bytes are to be had elsewhere only, and never pushed."""
        return bool(self.urls) and any(part in self.media_type for part in _NONDISTRIBUTABLE)


class _Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    schema_version: int
    media_type: str = ""
    artifact_type: str | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Document:
    """One manifest or index, understood."""

    def __init__(self, raw: bytes, content_type: str = "") -> None:
        """``content_type``: what its pusher calls it, "" when read from the storage. Raises BadManifest."""
        try:
            self._parsed = msgspec.json.decode(raw, type=_Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadManifest(detail=str(error)) from None
        self.raw = raw
        self.media_type = self._type(content_type.partition(";")[0].strip().lower())
        for one in self.descriptors():
            if not names.is_digest(one.digest):
                raise BadManifest(detail=f"invalid digest {one.digest[:200]!r}")
            if one.size < 0:
                raise BadManifest(detail=f"{one.digest}: invalid size {one.size}")

    @property
    def is_index(self) -> bool:
        """Whether it names manifests, not blobs."""
        return self.media_type in INDEXES

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers of an image manifest."""
        parsed = self._parsed
        if self.is_index:
            return ()
        return (*([parsed.config] if parsed.config else ()), *(parsed.layers or ()))

    @property
    def manifests(self) -> tuple[Descriptor, ...]:
        """What an index lists."""
        return tuple(self._parsed.manifests or ()) if self.is_index else ()

    @property
    def subject(self) -> str:
        """The digest of the manifest that it refers to, or ""."""
        return self._parsed.subject.digest if self._parsed.subject else ""

    @property
    def artifact_type(self) -> str:
        """Its own, else the config's media type for an image manifest (distribution-spec, "Listing Referrers")."""
        parsed = self._parsed
        if parsed.artifact_type or self.is_index:
            return parsed.artifact_type or ""
        return parsed.config.media_type if parsed.config else ""

    @property
    def annotations(self) -> dict[str, str] | None:
        """Its annotations."""
        return self._parsed.annotations

    def descriptors(self) -> Iterator[Descriptor]:
        """Everything that it names, the subject included."""
        yield from self.blobs
        yield from self.manifests
        if self._parsed.subject:
            yield self._parsed.subject

    def _type(self, announced: str) -> str:
        parsed = self._parsed
        if parsed.schema_version != 2:
            raise BadManifest(detail=f"schema version {parsed.schema_version} is not supported, 2 is")
        said = parsed.media_type or ("" if announced in UNNAMED else announced) or self._guess()
        if said not in MANIFESTS and said not in INDEXES:
            raise BadManifest(detail=f"media type {said[:200]!r} is not supported")
        if announced not in UNNAMED and announced != said:
            raise BadManifest(
                detail=f"mediaType in manifest {said!r} is not the same as the Content-Type {announced[:200]!r}"
            )
        self._distinct(said)
        return said

    def _guess(self) -> str:
        return OCI_MANIFEST if self._parsed.manifests is None else OCI_INDEX

    def _distinct(self, said: str) -> None:
        """What could be read as either kind would be checked as one and used as the other (CVE-2021-41190)."""
        parsed = self._parsed
        if said in INDEXES:
            if parsed.config is not None or parsed.layers is not None:
                raise BadManifest(detail="an index has neither config nor layers")
            if parsed.manifests is None:
                raise BadManifest(detail="an index needs manifests")
        elif parsed.manifests is not None:
            raise BadManifest(detail="an image manifest has no manifests")
        elif parsed.config is None:
            raise BadManifest(detail="an image manifest needs a config")
