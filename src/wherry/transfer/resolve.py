"""From what a tag leads to, to the manifest of one platform and the config of its image. Blocking."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from wherry.lib.errors import InvalidArgument, NotFound, WherryError
from wherry.oci.digest import digest_of, is_digest
from wherry.oci.image import CONFIG_MAX, LAYERS_MAX, ParsedImage, parse_image
from wherry.oci.index import NESTING_MAX, Index, attestations_of, images_of, parse_index
from wherry.oci.manifest import CONFIGS, INDEXES, MANIFESTS, Descriptor, Manifest, Platform, parse_manifest
from wherry.oci.platform import best_match, show_platform
from wherry.transfer.layers import MISMATCH
from wherry.transfer.source import FetchedManifest, Source

logger = logging.getLogger(__name__)

ATTACHED_MAX = 64 * 1024 * 1024
"""Bytes of all attestations of one image that are kept; more are left at the registry."""
PLUGIN_CONFIG = "application/vnd.docker.plugin.v1+json"
_OLD_CONFIGS = frozenset({"", "application/octet-stream", "application/json", "text/html"})
"""What registries and tools of old have written instead (distribution issue 1621)."""
CONFIG_FAULT = "error pulling image configuration: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One image at a registry: its manifest, its config, and what led to it."""

    manifest: FetchedManifest
    layers: tuple[Descriptor, ...]
    parsed: ParsedImage
    index: FetchedManifest | None = None
    """What the tag leads to, where that is no manifest."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    """Further small blobs that belong to it, by digest: indexes between, attestations and what they refer to."""


def resolve(source: Source, top: FetchedManifest, wanted: Platform) -> Resolved:
    """The image of the platform ``wanted`` behind ``top``.

    Raises InvalidArgument and NotFound in Docker's words for what cannot be run or is not there.
    """
    blobs: dict[str, bytes] = {}
    chosen = top
    seen = {top.digest}
    last: Index | None = None
    while chosen.media_type in INDEXES:
        if len(seen) > NESTING_MAX:
            raise InvalidArgument(f"index {top.digest} is nested more than {NESTING_MAX} deep")
        last = parse_index(chosen.raw)
        descriptor = _choose(last, wanted)
        if descriptor.digest in seen:
            raise InvalidArgument(f"index {top.digest} refers to itself")
        if chosen is not top:
            blobs[chosen.digest] = chosen.raw
        seen.add(descriptor.digest)
        chosen = source.manifest(descriptor.digest)
    if chosen.media_type not in MANIFESTS:
        raise InvalidArgument(f"unsupported manifest media type {chosen.media_type!r}")
    manifest = parse_manifest(chosen.raw)
    _check_kind(manifest)
    parsed = _config(source, manifest)
    if last is not None:
        blobs.update(_attestations(source, last, chosen.digest))
    return Resolved(
        manifest=chosen,
        layers=tuple(manifest.layers),
        parsed=parsed,
        index=top if chosen is not top else None,
        blobs=blobs,
    )


def _choose(index: Index, wanted: Platform) -> Descriptor:
    found = best_match([one for one in images_of(index.manifests) if is_digest(one.digest)], wanted)
    if found is None:
        raise NotFound(f"no matching manifest for {show_platform(wanted)} in the manifest list entries")
    return found


def _check_kind(manifest: Manifest) -> None:
    kind = manifest.config.media_type
    if kind == PLUGIN_CONFIG:
        raise InvalidArgument(f'Encountered remote "{kind}"(plugin) when fetching')
    if kind not in CONFIGS and kind not in _OLD_CONFIGS:
        raise InvalidArgument(f"unsupported media type {kind}")
    if len(manifest.layers) > LAYERS_MAX:
        raise InvalidArgument("max depth exceeded")
    for layer in manifest.layers:
        if layer.size < 0:
            raise InvalidArgument(f"invalid size {layer.size} of layer {layer.digest}")


def _config(source: Source, manifest: Manifest) -> ParsedImage:
    """The config, checked against its descriptor and against the manifest."""
    descriptor = manifest.config
    if not 0 <= descriptor.size <= CONFIG_MAX:
        raise InvalidArgument(f"{CONFIG_FAULT}{descriptor.size} bytes are more than the limit of {CONFIG_MAX}")
    try:
        raw = read_blob(source, descriptor)
    except NotFound as error:
        raise NotFound(f"{CONFIG_FAULT}download failed after attempts=1: {error.message}") from None
    except WherryError as error:
        raise type(error)(CONFIG_FAULT + error.message) from None
    if digest_of(raw) != descriptor.digest:
        raise InvalidArgument(f"{CONFIG_FAULT}image config verification failed for digest {descriptor.digest}")
    parsed = parse_image(raw)
    if parsed.image.os not in ("", "linux"):
        raise InvalidArgument(f'image operating system "{parsed.image.os}" cannot be used on this platform')
    if len(parsed.diff_ids) != len(manifest.layers):
        raise InvalidArgument(MISMATCH)
    return parsed


def _attestations(source: Source, index: Index, digest: str) -> dict[str, bytes]:
    """What the index says of this manifest, with all that it refers to. What is not there is no reason to fail."""
    found: dict[str, bytes] = {}
    left = ATTACHED_MAX
    for descriptor in attestations_of(index.manifests, digest):
        try:
            own = _attestation(source, descriptor, left)
        except WherryError as error:
            logger.warning("the attestation %s of %s is not kept: %s", descriptor.digest, digest, error)
            continue
        left -= sum(len(raw) for raw in own.values())
        found.update(own)
    return found


def _attestation(source: Source, descriptor: Descriptor, limit: int) -> dict[str, bytes]:
    manifest = source.manifest(descriptor.digest)
    parts = parse_manifest(manifest.raw)
    blobs = {manifest.digest: manifest.raw}
    for part in (parts.config, *parts.layers):
        limit -= part.size
        if part.size < 0 or limit < 0:
            raise InvalidArgument(f"more than {ATTACHED_MAX} bytes")
        raw = read_blob(source, part)
        if digest_of(raw) != part.digest:
            raise InvalidArgument(f"verification failed for digest {part.digest}")
        blobs[part.digest] = raw
    return blobs


def read_blob(source: Source, descriptor: Descriptor) -> bytes:
    """A small blob, not verified; never more bytes than its descriptor says."""
    buffer = memoryview(bytearray(descriptor.size + 1))
    at = 0
    with source.blob(descriptor) as stream:
        while at < len(buffer) and (count := stream.readinto(buffer[at:])):
            at += count
    return bytes(buffer[:at])
