"""Archives for the tests of this room, and a store to load them into."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from support.images import Tar, config_of
from wherry.state.database import Database
from wherry.state.schema import MIGRATIONS
from wherry.transfer.load import Loaded, load_archive
from wherry.transfer.store import ImageStore


@contextlib.asynccontextmanager
async def open_store(root: Path) -> AsyncIterator[ImageStore]:
    os.makedirs(root, exist_ok=True)
    database = Database(root / "state.db", MIGRATIONS)
    store = ImageStore(root, database)
    store.recover()
    try:
        yield store
    finally:
        await store.close()
        database.close()


async def chunks(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    stream = io.BytesIO(data)
    while piece := stream.read(size):
        yield piece


async def load(store: ImageStore, archive: bytes) -> list[Loaded]:
    return [step async for step in load_archive(store, chunks(archive)) if isinstance(step, Loaded)]


def oci_archive(layers: list[bytes], *, name: str = "", media: str = "", nested: bool = False, **extra: bytes) -> bytes:
    """An OCI image layout as skopeo, podman or buildx write it; ``layers`` may be packed already: see ``plain``."""
    return oci_of(config_of(layers), layers, name=name, media=media, nested=nested, **extra)


def oci_of(
    config: dict[str, Any],
    layers: list[bytes],
    *,
    name: str = "",
    media: str = "",
    nested: bool = False,
    **extra: bytes,
) -> bytes:
    blobs: dict[str, bytes] = {}

    def put(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    oci = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "config": put(json.dumps(config).encode(), f"{oci}.config.v1+json"),
        "layers": [put(layer, media or f"{oci}.layer.v1.tar") for layer in layers],
    }
    top = put(json.dumps(manifest).encode(), f"{oci}.manifest.v1+json")
    if nested:
        other = {**top, "digest": "sha256:" + "0" * 64, "platform": {"os": "linux", "architecture": "s390x"}}
        proof = {**other, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
        mine = {**top, "platform": {"os": "linux", "architecture": config["architecture"]}}
        index = {"schemaVersion": 2, "manifests": [other, proof, mine]}
        top = put(json.dumps(index).encode(), f"{oci}.index.v1+json")
    if name:
        key = "io.containerd.image.name" if name.count("/") > 1 else "org.opencontainers.image.ref.name"
        top["annotations"] = {key: name}
    tar = Tar()
    for digest, data in blobs.items():
        tar.add(f"blobs/sha256/{digest}", data)
    tar.add("index.json", json.dumps({"schemaVersion": 2, "manifests": [top]}).encode())
    tar.add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    for path, data in extra.items():
        tar.add(path, data)
    return tar.bytes()


def archive_of(manifest: object, **members: bytes) -> bytes:
    """A docker-archive with just these members (``_`` in a name is ``.``)."""
    tar = Tar()
    for name, data in members.items():
        tar.add(name.replace("_", "."), data)
    tar.add("manifest.json", manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode())
    return tar.bytes()


def leftovers(root: Path) -> dict[str, list[str]]:
    """What lies in a store: blobs, half-staged files, snapshot directories with something in them."""
    return {
        "blobs": sorted(path.name for path in (root / "content/blobs/sha256").iterdir()),
        "ingest": sorted(path.name for path in (root / "content/ingest").iterdir()),
        "snapshots": sorted(path.name for path in (root / "snapshots").iterdir() if _filled(path)),
    }


EMPTY = {"blobs": [], "ingest": [], "snapshots": ["0"]}


def _filled(snapshot: Path) -> bool:
    try:
        return any((snapshot / "fs").iterdir())
    except FileNotFoundError:
        return False
