"""Descriptors and manifests: OCI image-spec manifest.md and Docker's schema 2, which differ in media types only."""

from __future__ import annotations

import platform as host

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.oci.digest import parse_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
"""What an image's config is; a manifest with another one is an artifact."""
FOREIGN = frozenset({OCI_FOREIGN, f"{OCI_FOREIGN}+gzip", f"{OCI_FOREIGN}+zstd", DOCKER_FOREIGN_GZIP})
"""Layers that registries need not have: they are fetched from the descriptor's urls."""

MANIFEST_MAX = 4 * 1024 * 1024
"""Bytes; a larger manifest or index is refused, as registries do."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "ppc64le": "ppc64le"}


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a manifest runs on."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A pointer to content: type, digest, size in bytes."""

    media_type: str = ""
    digest: str = ""
    size: int = 0
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    platform: Platform | None = None
    artifact_type: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One image for one platform: its config and its layers, bottom first."""

    config: Descriptor
    schema_version: int = 2
    media_type: str = ""
    layers: list[Descriptor] = msgspec.field(default_factory=list)
    annotations: dict[str, str] | None = None


def host_platform() -> Platform:
    """The platform of this machine, in Go's words."""
    machine = host.machine()
    return Platform(architecture=ARCHITECTURES.get(machine, machine), os="linux")


def parse_manifest(raw: bytes) -> Manifest:
    """The manifest that ``raw`` holds. Raises InvalidArgument."""
    if len(raw) > MANIFEST_MAX:
        raise InvalidArgument(f"manifest of {len(raw)} bytes is larger than the limit of {MANIFEST_MAX}")
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"invalid manifest: {error}") from None
    if manifest.schema_version != 2:
        raise InvalidArgument(f"unsupported manifest schema version {manifest.schema_version}")
    for descriptor in (manifest.config, *manifest.layers):
        parse_digest(descriptor.digest)
    return manifest
