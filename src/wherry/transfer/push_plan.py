"""What to push of an image: its manifest as it came, with its index where all of that is here, or one that is made.

came with a manifest, all blobs here        those bytes: the digest in the registry is the one it was pulled by
… and with an index, all of whose is here   the index under the tag, each manifest by its digest
came without (docker load, commit, build)   Docker's schema 2, its layers gzipped on the way
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from wherry.diff.compression import GZIP, MAGIC_SIZE, detect
from wherry.lib.errors import Internal, InvalidArgument
from wherry.oci.digest import Digest
from wherry.oci.index import parse_index
from wherry.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    FOREIGN,
    INDEXES,
    MANIFEST_MAX,
    MANIFESTS,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    parse_manifest,
)
from wherry.state.image import ImageDocument, Layer
from wherry.transfer.push_layer import Outgoing, Sent
from wherry.transfer.store import ImageStore

NESTING_MAX = 4
BLOBS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index, to be stored after all that it refers to."""

    digest: str
    media_type: str
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One image to push."""

    layers: tuple[Outgoing, ...]
    """Bottom first; what the client is shown."""
    others: tuple[Outgoing, ...]
    """The config, and further blobs that the index leads to."""
    documents: tuple[Document, ...]
    """Manifests and indexes in the order to store them, the tag's last; empty when the manifest is to be made."""
    config: Descriptor


def plan_push(store: ImageStore, image: ImageDocument, *, whole: bool, foreign: bool) -> Plan:
    """What to push. Blocking.

    ``whole``: with the other platforms of its index, not its own manifest alone; ``foreign``: push layers that need not
    be pushed too. Raises Internal naming what is damaged.
    """
    if image.manifest and store.has_blob(Digest(image.manifest)):
        plan = _as_it_came(store, image, whole=whole, foreign=foreign)
        if plan is not None:
            return plan
    layers = []
    for layer in image.layers:
        packed = _start(store, layer) == GZIP
        layers.append(_outgoing(layer, packed=packed, foreign=False))
    config = Descriptor(media_type=DOCKER_CONFIG, digest=image.id, size=_size(store, image.id))
    return Plan(layers=tuple(layers), others=(_whole(config),), documents=(), config=config)


def make_manifest(config: Descriptor, layers: Sequence[Sent]) -> Document:
    """Docker's schema 2 manifest of these blobs, in the bytes that dockerd writes."""
    members = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": config.media_type, "size": config.size, "digest": config.digest},
        "layers": [{"mediaType": DOCKER_LAYER_GZIP, "size": one.size, "digest": one.digest} for one in layers],
    }
    return Document(digest="", media_type=DOCKER_MANIFEST, raw=json.dumps(members, indent=3).encode())


def _as_it_came(store: ImageStore, image: ImageDocument, *, whole: bool, foreign: bool) -> Plan | None:
    """The plan from its own manifest; None when that does not fit or a blob is missing."""
    raw = store.content.read(Digest(image.manifest), MANIFEST_MAX)
    manifest = parse_manifest(raw)
    skipped = {one.digest for one in manifest.layers if one.media_type in FOREIGN and one.urls and not foreign}
    wanted = [one for one in manifest.layers if one.digest not in skipped]
    if manifest.config.digest != image.id or [one.digest for one in manifest.layers] != [
        layer.digest for layer in image.layers
    ]:
        return None
    if not all(store.has_blob(Digest(one.digest)) for one in (manifest.config, *wanted)):
        return None
    layers = [_outgoing(layer, packed=True, foreign=layer.digest in skipped) for layer in image.layers]
    # OCI lets a manifest leave out what it is; its config says it then.
    usual = OCI_MANIFEST if manifest.config.media_type == OCI_CONFIG else DOCKER_MANIFEST
    own = Document(image.manifest, manifest.media_type or usual, raw)
    shown = {image.id, *(layer.digest for layer in image.layers)}
    blobs: dict[str, Outgoing] = {}
    documents: tuple[Document, ...] = (own,)
    if whole and image.index:
        tree = _Tree(store, shown, foreign=foreign)
        if tree.take(Descriptor(digest=image.index), NESTING_MAX):
            blobs, documents = tree.blobs, tuple(tree.documents)
    return Plan(
        layers=tuple(layers),
        others=(_whole(manifest.config), *blobs.values()),
        documents=documents,
        config=manifest.config,
    )


class _Tree:
    """All that an index leads to, as long as all of it is here."""

    def __init__(self, store: ImageStore, known: set[str], *, foreign: bool) -> None:
        self._store = store
        self._known = known
        self._foreign = foreign
        self.blobs: dict[str, Outgoing] = {}
        self.documents: list[Document] = []

    def take(self, descriptor: Descriptor, depth: int) -> bool:
        """Take a manifest or index and what is below it; False when something is missing."""
        if any(one.digest == descriptor.digest for one in self.documents):
            return True
        if depth == 0 or not self._store.has_blob(Digest(descriptor.digest)):
            return False
        raw = self._store.content.read(Digest(descriptor.digest), MANIFEST_MAX)
        try:
            media_type = descriptor.media_type or _media_type(raw)
            below = self._below(media_type, raw, depth)
        except InvalidArgument:
            return False
        if below:
            self.documents.append(Document(descriptor.digest, media_type, raw))
        return below

    def _below(self, media_type: str, raw: bytes, depth: int) -> bool:
        if media_type in INDEXES:
            return all(self.take(one, depth - 1) for one in parse_index(raw).manifests)
        if media_type not in MANIFESTS:
            return False
        manifest = parse_manifest(raw)
        return all(self._blob(one) for one in (manifest.config, *manifest.layers))

    def _blob(self, descriptor: Descriptor) -> bool:
        if descriptor.media_type in FOREIGN and descriptor.urls and not self._foreign:
            return True
        if not self._store.has_blob(Digest(descriptor.digest)) or len(self.blobs) > BLOBS_MAX:
            return False
        if descriptor.digest not in self._known:
            self.blobs[descriptor.digest] = _whole(descriptor)
        return True


def _media_type(raw: bytes) -> str:
    """An index's own word for what it is; Docker's lists and OCI's indexes have one nearly always."""
    return parse_index(raw).media_type or OCI_INDEX


def _outgoing(layer: Layer, *, packed: bool, foreign: bool) -> Outgoing:
    return Outgoing(
        digest=layer.digest,
        size=layer.size,
        diff_id=layer.diff_id,
        unpacked=layer.unpacked,
        packed=packed,
        foreign=foreign,
    )


def _whole(descriptor: Descriptor) -> Outgoing:
    """A blob that is pushed as it is."""
    digest, size = descriptor.digest, descriptor.size
    return Outgoing(digest=digest, size=size, diff_id=digest, unpacked=size, packed=True)


def _start(store: ImageStore, layer: Layer) -> str:
    """How a layer's blob is packed."""
    if not store.content.intact(Digest(layer.digest), layer.size):
        raise Internal(f"blob {layer.digest} is damaged")
    with store.content.open(Digest(layer.digest)) as file:
        return detect(file.read(MAGIC_SIZE))


def _size(store: ImageStore, digest: str) -> int:
    with store.content.open(Digest(digest)) as file:
        return file.seek(0, 2)
