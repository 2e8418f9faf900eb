"""Images as the Engine API writes them. Which members an answer leaves out when empty is what dockerd 28 does."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.wire.base import Wire
from wherry.wire.container import GraphDriver
from wherry.wire.fields import always, null


def _empty() -> list[str]:
    """An empty list; of the builtin ``list`` msgspec knows that it is the default, and leaves it out."""
    return []


class RootFs(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The layers of an image, bottom first, by the digests of their tars."""

    type: str = always(lambda: "layers")
    layers: list[str] | None = None


class Metadata(Wire, frozen=True, kw_only=True):
    """What only this daemon knows of an image. RFC 3339; Go's zero time is never."""

    last_tag_time: str


class ManifestSize(Wire, frozen=True, kw_only=True):
    """Bytes that a manifest takes here: its blobs, and these with what is unpacked of them."""

    content: int
    total: int


class UnpackedSize(Wire, frozen=True, kw_only=True):
    """Bytes of an image's unpacked layers."""

    unpacked: int


class ImageData(Wire, frozen=True, kw_only=True):
    """What only the manifest of an image has. ``platform`` is the image specification's."""

    platform: dict[str, Any]
    containers: list[str]
    size: UnpackedSize


class Attestation(Wire, frozen=True, kw_only=True):
    """The digest of the manifest that an attestation speaks of."""

    for_: str = msgspec.field(name="For")


class ManifestSummary(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """One manifest of an image. ``descriptor`` is the image specification's; ``kind`` image or attestation."""

    id: str = msgspec.field(name="ID")
    descriptor: dict[str, Any]
    available: bool
    kind: str
    size: ManifestSize
    image_data: ImageData | None = None
    attestation_data: Attestation | None = None


class ImageInspect(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /images/{name}/json``. ``config`` is a map, because each API version has other members in it."""

    id: str
    repo_tags: list[str] = always(_empty)
    repo_digests: list[str] = always(_empty)
    parent: str = always(str)
    comment: str = always(str)
    created: str = ""
    container: str | None = None
    container_config: dict[str, Any] | None = None
    docker_version: str = always(str)
    author: str = always(str)
    config: dict[str, Any] | None = always(null)
    architecture: str = always(str)
    variant: str = ""
    os: str = always(str)
    os_version: str = ""
    size: int = always(int)
    virtual_size: int | None = None
    graph_driver: GraphDriver
    root_fs: RootFs = msgspec.field(name="RootFS")
    metadata: Metadata
    descriptor: dict[str, Any] | None = None
    manifests: list[ManifestSummary] | None = None


class ImageSummary(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """One line of ``docker images``. ``containers`` and ``shared_size`` (bytes) are -1 where nobody counted."""

    containers: int = always(lambda: -1)
    created: int = always(int)
    descriptor: dict[str, Any] | None = None
    id: str
    labels: dict[str, str] | None = always(null)
    manifests: list[ManifestSummary] | None = None
    parent_id: str = always(str)
    repo_digests: list[str] | None = always(_empty)
    repo_tags: list[str] | None = always(_empty)
    shared_size: int = always(lambda: -1)
    size: int = always(int)
    virtual_size: int | None = None


class HistoryItem(Wire, frozen=True, kw_only=True):
    """One step of an image's making, ``created`` in seconds since the epoch."""

    comment: str
    created: int
    created_by: str
    id: str
    size: int
    tags: list[str] | None


class DeleteItem(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A name taken back, or an image or layer deleted."""

    untagged: str = ""
    deleted: str = ""


class PruneReport(Wire, frozen=True, kw_only=True):
    """``POST /images/prune``; bytes."""

    images_deleted: list[DeleteItem] | None = None
    space_reclaimed: int = 0
