"""Manifests at registries, for ``wherry manifest``: read one, put one, bringing along the blobs that it needs."""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
from collections.abc import Iterator

from wherry.lib.errors import InvalidArgument, NotFound, WherryError
from wherry.oci.digest import Digest, digest_of
from wherry.oci.image import CONFIG_MAX, parse_image
from wherry.oci.index import parse_index
from wherry.oci.manifest import INDEXES, MANIFEST_MAX, MANIFESTS, Descriptor, parse_manifest
from wherry.oci.reference import Reference, parse_reference
from wherry.transfer.remote import Credentials, Registries, Repository, Stop
from wherry.transfer.remote.insecure import Insecure
from wherry.transfer.resolve import read_blob
from wherry.transfer.threads import in_own_thread
from wherry.wire.manifest import PlatformOf, PutManifest, RemoteManifest

_PIECE = 1024 * 1024


class RemoteManifests:
    """The use cases. ``insecure`` lets one call do what ``insecure-registries`` lets the daemon do."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    async def fetch(self, name: str, credentials: Credentials | None, *, insecure: bool) -> RemoteManifest:
        """The manifest or index that ``name`` leads to. Raises NotFound, Unauthorized, Internal, InvalidArgument."""
        reference = parse_reference(name).tagged()
        stop = Stop()

        def work() -> RemoteManifest:
            with self._reached(reference, insecure=insecure) as registries:
                repository = registries.open(reference, credentials, stop=stop)
                found = repository.manifest(reference.digest or reference.tag)
                return RemoteManifest(
                    media_type=found.media_type,
                    digest=found.digest,
                    raw=base64.b64encode(found.raw).decode(),
                    platform=_platform(repository, found.raw) if found.media_type in MANIFESTS else None,
                )

        return await in_own_thread(work, stop)

    async def put(self, name: str, put: PutManifest, credentials: Credentials | None, *, insecure: bool) -> str:
        """Push a manifest or an index, before it the blobs that its repository lacks; returns its digest.

        Raises InvalidArgument, NotFound, Unauthorized, Internal.
        """
        reference = parse_reference(name).tagged()
        raw = _decoded(put, reference)
        source = parse_reference(put.source) if put.source else None
        if source is not None and source.domain != reference.domain:
            raise InvalidArgument(f"{put.source} is in another registry than {name}")
        stop = Stop()

        def work() -> str:
            with self._reached(reference, insecure=insecure) as registries:
                target = registries.open(reference, credentials, push=True, stop=stop)
                if put.media_type in MANIFESTS and source is not None:
                    origin = registries.open(source, credentials, stop=stop)
                    for blob in _blobs(raw):
                        _bring(blob, origin, target)
                return target.put_manifest(reference.digest or reference.tag, put.media_type, raw)

        return await in_own_thread(work, stop)

    @contextlib.contextmanager
    def _reached(self, name: Reference, *, insecure: bool) -> Iterator[Registries]:
        """The registries, for one call."""
        if not insecure:
            yield self._registries
            return
        settings = self._registries.settings
        lax = Insecure(settings.insecure.hosts | {name.domain}, settings.insecure.networks)
        registries = Registries(dataclasses.replace(settings, insecure=lax))
        try:
            yield registries
        finally:
            registries.close()


def _decoded(put: PutManifest, reference: Reference) -> bytes:
    """The document, checked. Raises InvalidArgument."""
    try:
        raw = base64.b64decode(put.raw, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument("the manifest is not base64") from None
    if put.media_type in INDEXES:
        parse_index(raw)
    elif put.media_type in MANIFESTS:
        parse_manifest(raw)
    else:
        raise InvalidArgument(f'unsupported manifest media type: "{put.media_type}"')
    if len(raw) > MANIFEST_MAX:
        raise InvalidArgument(f"manifest of {len(raw)} bytes is larger than the limit of {MANIFEST_MAX}")
    if reference.digest and reference.digest != digest_of(raw):
        raise InvalidArgument(f"the manifest is {digest_of(raw)}, not {reference.digest}")
    return raw


def _blobs(raw: bytes) -> list[Descriptor]:
    """What a manifest refers to, each blob once. What lies elsewhere (foreign layers) stays there."""
    manifest = parse_manifest(raw)
    every = {one.digest: one for one in (manifest.config, *manifest.layers) if not one.urls}
    return list(every.values())


def _bring(blob: Descriptor, origin: Repository, target: Repository) -> None:
    """Let the target's repository have a blob of another one: by mount, else by copying it through here."""
    if target.has_blob(blob.digest) or target.mount_blob(blob.digest, origin.name):
        return
    digest, size = target.upload_stream(_pieces(origin, blob), lambda _: None)
    if (digest, size) != (blob.digest, blob.size):
        raise NotFound(f"blob {blob.digest} changed on the way: {digest}, {size} bytes")


def _pieces(origin: Repository, blob: Descriptor) -> Iterator[bytes]:
    buffer = memoryview(bytearray(_PIECE))
    with origin.blob(blob) as reader:
        while count := reader.readinto(buffer):
            yield bytes(buffer[:count])


def _platform(repository: Repository, raw: bytes) -> PlatformOf | None:
    """What the manifest's config says that the image runs on; None if it is no image's config."""
    config = parse_manifest(raw).config
    if not 0 <= config.size <= CONFIG_MAX:
        return None
    data = read_blob(repository, config)
    try:
        image = parse_image(data).image
    except WherryError:
        return None
    if digest_of(data) != Digest(config.digest):
        return None
    return PlatformOf(
        architecture=image.architecture,
        os=image.os,
        os_version=image.os_version,
        variant=image.variant,
    )
