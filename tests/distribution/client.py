"""A client of the distribution API that hides nothing: one call, one request, and what came back."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCTETS = "application/octet-stream"
ANY = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, application/vnd.docker.distribution.manifest.list.v2+json"

Body = bytes | Iterable[bytes]


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The codes of an error."""
        return [one["code"] for one in self.json()["errors"]]

    @property
    def location(self) -> str:
        return self.headers["location"]


class Client:
    """Talks to the registry at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(self, method: str, where: str, body: Body = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """``where`` is a path, or an absolute URL as a Location header gives it. An iterable is sent in chunks."""
        target = urlsplit(urljoin(self.url, where))
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=20)
        try:
            path = f"{target.path}?{target.query}" if target.query else target.path
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, said, answer.read())
        finally:
            connection.close()

    def repository(self, name: str) -> Repository:
        return Repository(self, name)


class Repository:
    """One repository, and what a test wants to have in it."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    def call(self, method: str, rest: str, body: Body = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """``rest`` is the path behind the repository's name."""
        return self.client.call(method, f"/v2/{self.name}/{rest}", body, headers)

    def begin(self) -> str:
        """A new upload's location."""
        answer = self.call("POST", "blobs/uploads/", headers={"Content-Length": "0"})
        assert answer.status == 202, answer
        return answer.location

    def put(self, location: str, digest: str, body: Body = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """The PUT that ends an upload."""
        joint = "&" if "?" in location else "?"
        return self.client.call(
            "PUT", f"{location}{joint}digest={digest}", body, {"Content-Type": OCTETS, **(headers or {})}
        )

    def patch(self, location: str, body: Body, headers: Mapping[str, str] | None = None) -> Answer:
        """The PATCH that adds to an upload."""
        return self.client.call("PATCH", location, body, {"Content-Type": OCTETS, **(headers or {})})

    def chunk(self, location: str, data: bytes, start: int) -> Answer:
        """A chunk with its Content-Range."""
        return self.patch(location, data, {"Content-Range": f"{start}-{start + len(data) - 1}"})

    def push_blob(self, data: bytes, media_type: str = OCTETS) -> dict[str, Any]:
        """Its descriptor."""
        answer = self.put(self.begin(), digest_of(data), data)
        assert answer.status == 201, answer
        return descriptor(data, media_type)

    def push(self, reference: str, manifest: dict[str, Any], media_type: str = "") -> Answer:
        """Push a manifest under a tag, or under its digest when ``reference`` is empty."""
        raw = encode(manifest)
        kind = media_type or manifest.get("mediaType") or OCI_MANIFEST
        return self.call("PUT", f"manifests/{reference or digest_of(raw)}", raw, {"Content-Type": kind})

    def image(self, note: str = "", **more: Any) -> dict[str, Any]:
        """An image manifest whose blobs are there; not pushed itself."""
        return {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.push_blob(json.dumps({"note": note}).encode(), OCI_CONFIG),
            "layers": [self.push_blob(f"layer {note}".encode(), OCI_LAYER)],
            **more,
        }

    def push_image(self, tag: str, note: str = "", **more: Any) -> bytes:
        """A whole image under a tag: its manifest's bytes."""
        manifest = self.image(note, **more)
        answer = self.push(tag, manifest)
        assert answer.status == 201, answer
        return encode(manifest)

    def get(self, reference: str, method: str = "GET", **headers: str) -> Answer:
        """Pull a manifest."""
        return self.call(method, f"manifests/{reference}", headers={"Accept": ANY, **headers})


def encode(manifest: dict[str, Any]) -> bytes:
    """A manifest's bytes: with line breaks, so that one who writes it anew is found out."""
    return json.dumps(manifest, indent=1).encode()


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
