"""A registry on loopback, inside a test's network box: ours where it is installed, else Debian's ``docker-registry``.

``WHERRY_TEST_REGISTRY=docker`` takes Debian's even so.

    with Registry(daemon.box) as registry:
        registry.push_image("app", "1", [layer])
        daemon.docker("pull", f"{registry.host}/app:1")
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from support.box import Box
from support.commands import eventually, find
from support.images import config_of, digest_of

DOCKER = "application/vnd.docker"
OCI = "application/vnd.oci.image"
MANIFEST = f"{OCI}.manifest.v1+json"
INDEX = f"{OCI}.index.v1+json"
DOCKER_MANIFEST = f"{DOCKER}.distribution.manifest.v2+json"
DOCKER_LIST = f"{DOCKER}.distribution.manifest.list.v2+json"
_LISTENING = re.compile(r"listening on \S*?:(\d+)")

Descriptor = dict[str, Any]


def registry_program(kind: str = "") -> list[str] | None:
    """The command that serves, without its configuration; ``kind`` is ``wherry`` or ``docker``, empty either."""
    ours = Path(sys.executable).with_name("wherry-registry")
    wanted = kind or os.environ.get("WHERRY_TEST_REGISTRY", "")
    if ours.exists() and wanted != "docker":
        return [str(ours), "serve"]
    program = find("docker-registry") if wanted != "wherry" else None
    return [program, "serve"] if program else None


class Registry:
    """One registry process, its storage below ``root``; a context manager that takes both away."""

    def __init__(
        self,
        box: Box | None = None,
        *,
        settings: dict[str, Any] | None = None,
        kind: str = "",
        storage: Path | None = None,
    ) -> None:
        program = registry_program(kind)
        if program is None:
            pytest.skip(f"no registry here: neither wherry-registry nor Debian's docker-registry ({kind or 'any'})")
        self._program = program
        self.box = box
        self.root = tempfile.mkdtemp(prefix="wtreg-")
        self.storage = storage or Path(self.root, "data")
        self.log = Path(self.root, "registry.log")
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self) -> None:
        """Serve; on the same port as before, if it did."""
        config = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
            **self._settings,
        }
        path = Path(self.root, "config.yml")
        path.write_text(json.dumps(config))  # JSON is YAML
        argv = [*self._program, str(path)]
        before = len(self._said())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.box.argv(*argv) if self.box is not None else argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.port = int(eventually("the registry listens", lambda: self._port(before), within=20))

    def stop(self) -> None:
        """End the process; its storage stays until the ``with`` block ends."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _port(self, skip: int) -> str:
        assert self._process is not None
        text = self._said()[skip:]
        assert self._process.poll() is None, f"the registry ended at start:\n{text[-2000:]}"
        found = _LISTENING.search(text)
        return found[1] if found else ""

    @property
    def host(self) -> str:
        """What image names begin with."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The same as a URL."""
        return f"http://{self.host}"

    # --- its client

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One request of the distribution API, asked inside the box; ``_`` in a header's name is ``-``."""

        def ask() -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            try:
                fields = {name.replace("_", "-"): value for name, value in headers.items()}
                connection.request(method, path, body or None, fields)
                answer = connection.getresponse()
                return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            finally:
                connection.close()

        return self.box.inside(ask) if self.box is not None else ask()

    def push_blob(self, repository: str, data: bytes, media_type: str = "") -> Descriptor:
        """Store a blob; its descriptor."""
        digest = digest_of(data)
        status, headers, text = self.call("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, text
        location = headers["location"].removeprefix(self.url)
        joint = "&" if "?" in location else "?"
        status, _, text = self.call(
            "PUT", f"{location}{joint}digest={digest}", data, Content_Type="application/octet-stream"
        )
        assert status == 201, text
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def push_manifest(self, repository: str, reference: str, manifest: dict[str, Any] | bytes) -> Descriptor:
        """Store a manifest or an index under a tag (or its digest); its descriptor."""
        data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        media_type = json.loads(data)["mediaType"]
        place = reference or digest_of(data)
        status, _, text = self.call("PUT", f"/v2/{repository}/manifests/{place}", data, Content_Type=media_type)
        assert status == 201, text
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def push_image(
        self,
        repository: str,
        tag: str,
        layers: list[bytes],
        *,
        packed: list[tuple[bytes, str]] | None = None,
        docker: bool = False,
        config: dict[str, Any] | None = None,
        raw_config: bytes = b"",
    ) -> Descriptor:
        """Store an image of these tars (gzip, or as ``packed``: bytes and media type); its manifest's descriptor."""
        gzipped = f"{DOCKER}.image.rootfs.diff.tar.gzip" if docker else f"{OCI}.layer.v1.tar+gzip"
        blobs = packed or [(gzip.compress(layer, 1, mtime=0), gzipped) for layer in layers]
        kind = f"{DOCKER}.container.image.v1+json" if docker else f"{OCI}.config.v1+json"
        document = raw_config or json.dumps({**config_of(layers), **(config or {})}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if docker else MANIFEST,
            "config": self.push_blob(repository, document, kind),
            "layers": [self.push_blob(repository, data, media_type) for data, media_type in blobs],
        }
        return self.push_manifest(repository, tag, manifest)

    def push_index(self, repository: str, tag: str, manifests: list[Descriptor], *, docker: bool = False) -> Descriptor:
        """Store an index of what is there already."""
        index = {"schemaVersion": 2, "mediaType": DOCKER_LIST if docker else INDEX, "manifests": manifests}
        return self.push_manifest(repository, tag, index)

    def blob_path(self, digest: str) -> Path:
        """The file of a blob, to tamper with."""
        hexadecimal = digest.partition(":")[2]
        return self.storage / f"docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"


def on_platform(descriptor: Descriptor, architecture: str, os_: str = "linux", variant: str = "") -> Descriptor:
    """A descriptor with the platform that an index says it is for."""
    platform = {"architecture": architecture, "os": os_, **({"variant": variant} if variant else {})}
    return {**descriptor, "platform": platform}
