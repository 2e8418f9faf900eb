"""``docker save``: images as one tar, in the two layouts that docker 25 and later writes at once.

    blobs/sha256/<hex>     configs, layer tars (by diff id, unpacked), OCI manifests
    index.json, oci-layout the OCI image layout: skopeo oci-archive:, containerd
    manifest.json          docker load of any age, skopeo docker-archive:
    repositories           docker before 1.10

All times are zero and all names sorted: the same images give the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from wherry.diff.compression import CHUNK, Unpacked
from wherry.diff.errors import Stopped
from wherry.diff.tar import DIRECTORY, REGULAR, Entry
from wherry.diff.tarwriter import END, header, padding
from wherry.lib.errors import Internal
from wherry.oci.digest import Digest, digest_of, encoded
from wherry.oci.image import CONFIG_MAX
from wherry.oci.index import IMAGE_NAME, REF_NAME, Index
from wherry.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest
from wherry.oci.reference import Reference
from wherry.state.image import ImageDocument, Layer
from wherry.state.lease import CONTENT
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import from_thread, read_ahead

BLOBS = "blobs/sha256"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image to save, and the names to give it (with tags)."""

    image: ImageDocument
    names: tuple[Reference, ...]


async def save_archive(store: ImageStore, images: Sequence[Wanted]) -> AsyncGenerator[bytes, None]:
    """The archive, piece by piece. Raises Internal naming a damaged blob, before anything is sent if it shows then."""
    async with store.leases.hold() as lease:
        await lease.add(CONTENT, {blob for wanted in images for blob in wanted.image.blobs})
        async with contextlib.aclosing(from_thread(lambda stop: _archive(store, images, stop))) as pieces:
            async for piece in pieces:
                yield piece


def _archive(store: ImageStore, images: Sequence[Wanted], stop: threading.Event) -> Iterator[bytes]:
    small, layers = _contents(store, images)
    for name in ("blobs", BLOBS):
        yield header(Entry(name=name.encode(), kind=DIRECTORY, mode=0o755))
    members: dict[str, bytes | Layer] = {**small, **layers}
    for name, content in sorted(members.items(), key=lambda one: one[0]):
        if isinstance(content, bytes):
            yield _file(name, len(content)) + content + padding(len(content))
        else:
            yield _file(name, content.unpacked)
            yield from _layer(store, content, stop)
            yield padding(content.unpacked)
    yield END


def _file(name: str, size: int) -> bytes:
    return header(Entry(name=name.encode(), kind=REGULAR, mode=0o644, size=size))


def _contents(store: ImageStore, images: Sequence[Wanted]) -> tuple[dict[str, bytes], dict[str, Layer]]:
    """Small members by name, and layers by name."""
    small: dict[str, bytes] = {}
    layers: dict[str, Layer] = {}
    items: list[dict[str, object]] = []
    descriptors: list[Descriptor] = []
    repositories: dict[str, dict[str, str]] = {}
    for wanted in images:
        image = wanted.image
        config = store.content.read(Digest(image.id), CONFIG_MAX)
        manifest = _manifest(image, len(config))
        small[f"{BLOBS}/{encoded(image.id)}"] = config
        small[f"{BLOBS}/{encoded(digest_of(manifest))}"] = manifest
        for layer in image.layers:
            if not store.content.intact(Digest(layer.digest), layer.size):
                raise Internal(f"blob {layer.digest} of image {image.id} is damaged")
            layers[f"{BLOBS}/{encoded(layer.diff_id)}"] = layer
        paths = [f"{BLOBS}/{encoded(layer.diff_id)}" for layer in image.layers]
        tags = [name.familiar for name in wanted.names]
        items.append({"Config": f"{BLOBS}/{encoded(image.id)}", "RepoTags": tags or None, "Layers": paths})
        plain = Descriptor(media_type=OCI_MANIFEST, digest=digest_of(manifest), size=len(manifest))
        descriptors += [_named(plain, name) for name in wanted.names] or [plain]
        for name in wanted.names:
            if image.layers:
                repositories.setdefault(name.familiar_name, {})[name.tag] = encoded(image.layers[-1].diff_id)
    small["index.json"] = _json(Index(media_type=OCI_INDEX, manifests=descriptors))
    small["manifest.json"] = msgspec.json.encode(items or None)
    small["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    if repositories:
        small["repositories"] = msgspec.json.encode(repositories, order="deterministic")
    return small, layers


def _manifest(image: ImageDocument, config_size: int) -> bytes:
    manifest = Manifest(
        media_type=OCI_MANIFEST,
        config=Descriptor(media_type=OCI_CONFIG, digest=image.id, size=config_size),
        layers=[Descriptor(media_type=OCI_LAYER, digest=layer.diff_id, size=layer.unpacked) for layer in image.layers],
    )
    return _json(manifest)


def _json(document: Manifest | Index) -> bytes:
    """Sorted, and without the members that are null."""
    members = {key: value for key, value in msgspec.to_builtins(document).items() if value is not None}
    return msgspec.json.encode(members, order="deterministic")


def _named(plain: Descriptor, name: Reference) -> Descriptor:
    return msgspec.structs.replace(plain, annotations={IMAGE_NAME: str(name), REF_NAME: name.tag})


def _layer(store: ImageStore, layer: Layer, stop: threading.Event) -> Iterator[bytes]:
    """The unpacked tar of a layer, checked as it goes; a wrong one breaks the stream off before its end."""
    with store.content.open(Digest(layer.digest)) as file:
        # A blob that is the tar itself needs no unpacking, and so no buffer in between.
        read = file.read if layer.digest == layer.diff_id else Unpacked(file).read
        digest, count = hashlib.sha256(), 0
        with contextlib.closing(read_ahead(lambda: read(CHUNK))) as pieces:
            for data in pieces:
                if stop.is_set():
                    raise Stopped
                digest.update(data)
                count += len(data)
                if count > layer.unpacked:
                    break
                yield data
        if count != layer.unpacked or f"sha256:{digest.hexdigest()}" != layer.diff_id:
            raise Internal(f"blob {layer.digest} is damaged")
