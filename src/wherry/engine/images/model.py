"""The words of this room: an image as the other rooms see it, who uses it, and who is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wherry.lib.clock import parse_rfc3339
from wherry.oci.image import Image, ImageConfig, ParsedImage
from wherry.oci.reference import Reference
from wherry.state.image import ImageDocument
from wherry.wire.image import ImageSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUser:
    """A container made of an image."""

    container_id: str
    running: bool


class ContainerUsers(Protocol):
    """Knows the containers."""

    def users_of(self, image_id: str) -> Sequence[ImageUser]:
        """The containers made of this image, whatever their state."""


class EventSink(Protocol):
    """Is told what happened."""

    def emit(self, type_: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """Something of ``type_`` happened to ``actor``."""


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """What images take: bytes of all layers, each counted once, and every image with shared size and containers."""

    layers_size: int
    images: list[ImageSummary]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image: what is recorded, its config, its names."""

    document: ImageDocument
    parsed: ParsedImage
    references: tuple[Reference, ...]

    @property
    def id(self) -> str:
        """``sha256:…``, the digest of the config."""
        return self.document.id

    @property
    def image(self) -> Image:
        """The whole image config."""
        return self.parsed.image

    @property
    def config(self) -> ImageConfig:
        """Defaults for containers."""
        return self.parsed.image.config or ImageConfig()

    @property
    def labels(self) -> dict[str, str]:
        """The config's labels."""
        return self.config.labels or {}

    @property
    def snapshot_key(self) -> str | None:
        """The snapshot that a container's stands on; None for an image without layers."""
        return self.parsed.chain[-1] if self.parsed.chain else None

    @property
    def repo_tags(self) -> list[str]:
        """Familiar names with a tag: ``busybox:latest``."""
        return [reference.familiar for reference in self.references if not reference.digest]

    @property
    def repo_digests(self) -> list[str]:
        """Familiar names with a digest."""
        return [reference.familiar for reference in self.references if reference.digest]

    @property
    def created_ns(self) -> int:
        """When it was made; 0 where the config does not say."""
        try:
            return parse_rfc3339(self.parsed.image.created or "")
        except ValueError:
            return 0

    @property
    def size(self) -> int:
        """Bytes in the files of all layers."""
        return self.document.size

    @property
    def architecture(self) -> str:
        """In Go's words: amd64, arm64 …"""
        return self.parsed.image.architecture

    @property
    def os(self) -> str:
        """Always linux, for what could be loaded."""
        return self.parsed.image.os or "linux"

    @property
    def variant(self) -> str:
        """Of the architecture: v7, v8 …"""
        return self.parsed.image.variant
