"""A repository in memory, as a pull sees it: what it serves can be slow, wrong or missing."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from support.images import config_of
from wherry.diff.errors import Stopped
from wherry.lib.errors import NotFound
from wherry.oci.manifest import Descriptor
from wherry.oci.platform import parse_platform
from wherry.oci.reference import parse_reference
from wherry.transfer.progress import Message
from wherry.transfer.pull import Pulled, Puller
from wherry.transfer.resolve import resolve
from wherry.transfer.source import Origin

OCI = "application/vnd.oci.image"
INDEX = f"{OCI}.index.v1+json"


@dataclass(frozen=True)
class Fetched:
    media_type: str
    digest: str
    raw: bytes


class Stream:
    """A blob's bytes, some at a time."""

    def __init__(self, repository: Repository, data: bytes, offset: int, stop: threading.Event) -> None:
        self.on_retry: Callable[[int], None] | None = None
        self._repository = repository
        self._left = memoryview(data)[offset:]
        self._stop = stop
        self._layer = not data.startswith(b"{")

    def readinto(self, buffer: memoryview, /) -> int:
        while self._layer and not self._repository.gate.wait(0.02):
            if self._stop.is_set():
                raise Stopped
        count = min(len(buffer), len(self._left), self._repository.piece)
        buffer[:count], self._left = self._left[:count], self._left[count:]
        self._repository.served += count
        return count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class Repository:
    """Blobs and manifests by digest, manifests by tag."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, Fetched] = {}
        self.asked: list[tuple[str, int]] = []
        self.served = 0
        self.piece = 4096
        self.gate = threading.Event()
        """Layers come while it is set."""
        self.gate.set()

    def put(self, data: bytes, media_type: str = "") -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def tag(self, name: str, document: dict[str, Any]) -> dict[str, Any]:
        raw = json.dumps(document).encode()
        fetched = Fetched(document["mediaType"], f"sha256:{hashlib.sha256(raw).hexdigest()}", raw)
        self.manifests[fetched.digest] = fetched
        if name:
            self.manifests[name] = fetched
        return {"mediaType": fetched.media_type, "digest": fetched.digest, "size": len(raw)}

    def image(
        self, name: str, layers: list[bytes], *, packed: list[bytes] | None = None, **config: Any
    ) -> dict[str, Any]:
        blobs = packed or [gzip.compress(layer, 1, mtime=0) for layer in layers]
        return self.tag(
            name,
            {
                "schemaVersion": 2,
                "mediaType": f"{OCI}.manifest.v1+json",
                "config": self.put(json.dumps({**config_of(layers), **config}).encode(), f"{OCI}.config.v1+json"),
                "layers": [self.put(blob, f"{OCI}.layer.v1.tar+gzip") for blob in blobs],
            },
        )

    def index(self, name: str, manifests: list[dict[str, Any]]) -> dict[str, Any]:
        return self.tag(name, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})

    # --- as a source

    def bound(self, stop: threading.Event) -> Bound:
        return Bound(self, stop)


class Bound:
    """See ``transfer.source.Source``."""

    def __init__(self, repository: Repository, stop: threading.Event) -> None:
        self._repository = repository
        self._stop = stop

    def manifest(self, reference: str) -> Fetched:
        found = self._repository.manifests.get(reference)
        if found is None:
            raise NotFound(f"manifest for {reference} not found: manifest unknown: manifest unknown")
        return found

    def blob(self, descriptor: Descriptor, *, offset: int = 0) -> Stream:
        self._repository.asked.append((descriptor.digest, offset))
        if descriptor.digest not in self._repository.blobs:
            raise NotFound("unknown blob")
        return Stream(self._repository, self._repository.blobs[descriptor.digest], offset, self._stop)

    def tags(self) -> Iterator[str]:
        yield from (name for name in self._repository.manifests if ":" not in name)


async def pull(
    puller: Puller,
    repository: Repository,
    name: str = "r.test/app:1",
    *,
    said: list[Message] | None = None,
    platform: str = "linux/amd64",
) -> Pulled:
    reference = parse_reference(name)
    bound = repository.bound(threading.Event())
    top = bound.manifest(reference.digest or reference.tag)
    found = resolve(bound, top, parse_platform(platform))
    origin = Origin(domain=reference.domain, repository=reference.name, open=repository.bound)
    return await puller.pull(found, [reference], origin, (said if said is not None else []).append)
