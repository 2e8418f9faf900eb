"""From a request to an answer, without a socket: who is asked for what, and what of a failure is told."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry.requests import request
from wherry.api.server.query import QueryString
from wherry.registry.app import App
from wherry.registry.config import Settings
from wherry.registry.context import Context
from wherry.registry.errors import AccessDenied, AccessRefused, BadRange
from wherry.registry.filesystem import FilesystemDriver
from wherry.registry.handlers.blobs import parse_range
from wherry.registry.health import Health
from wherry.registry.hooks import Access, Event
from wherry.registry.http.message import Request, Response
from wherry.registry.names import digest_of
from wherry.registry.store import Store


class Doorman:
    """Lets in what does not touch the repository ``secret``."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def authorize(self, request: Request, accesses: Sequence[Access]) -> str:
        del request
        self.asked.append([f"{one.kind}:{one.name}:{one.action}" for one in accesses])
        if any(one.name == "nobody" for one in accesses):
            raise AccessRefused('Bearer realm="here"')
        if any(one.name == "secret" for one in accesses):
            raise AccessDenied
        return "somebody"


class Ear:
    """Hears events."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def began(self, request: Request) -> None:
        pass

    def happened(self, event: Event) -> None:
        self.heard.append(event)

    def answered(self, request: Request, status: int, *, sent: int, received: int, seconds: float) -> None:
        pass


@pytest.fixture
def context(tmp_path: Path) -> Context:
    made = Context.make(Settings(delete=True), Store(FilesystemDriver(str(tmp_path))))
    made.authorizer, made.observers = Doorman(), [Ear()]
    return made


def _handle(context: Context, method: str, path: str, query: str = "", **headers: str) -> Response:
    asked = request(method, path, **headers)
    asked.query = QueryString(query)
    return App(context, Health([])).handle(asked)


def _blob(context: Context, name: str, data: bytes) -> str:
    digest = digest_of(data)
    identifier = context.uploads.begin(name)
    pieces = [data, b""]

    def fill(buffer: memoryview) -> int:
        piece = pieces.pop(0)
        buffer[: len(piece)] = piece
        return len(piece)

    context.uploads.finish(name, identifier, digest, fill, lambda _size: None)
    return digest


def _code(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)["errors"][0]["code"]


@pytest.mark.parametrize(
    ("method", "path", "scopes"),
    [
        ("GET", "/v2/", []),
        ("GET", "/v2/_catalog", ["registry:catalog:*"]),
        ("GET", "/v2/a/b/tags/list", ["repository:a/b:pull"]),
        ("HEAD", "/v2/a/manifests/x", ["repository:a:pull"]),
        ("PUT", "/v2/a/manifests/x", ["repository:a:pull", "repository:a:push"]),
        ("DELETE", "/v2/a/manifests/x", ["repository:a:delete"]),
        ("POST", "/v2/a/blobs/uploads/", ["repository:a:pull", "repository:a:push"]),
    ],
)
def test_scopes(context: Context, method: str, path: str, scopes: list[str]) -> None:
    """Each operation asks for what Docker's registry asks for."""
    _handle(context, method, path)
    assert isinstance(context.authorizer, Doorman)
    assert context.authorizer.asked == [scopes]


def test_health_needs_nobody(context: Context) -> None:
    """``/`` is answered without authorization."""
    assert _handle(context, "GET", "/").status == 200
    assert isinstance(context.authorizer, Doorman)
    assert context.authorizer.asked == []


def test_refusals(context: Context) -> None:
    """401 with the challenge, 403 without."""
    refused = _handle(context, "GET", "/v2/nobody/tags/list")
    assert (refused.status, _code(refused), refused.headers["WWW-Authenticate"]) == (
        401,
        "UNAUTHORIZED",
        'Bearer realm="here"',
    )
    denied = _handle(context, "GET", "/v2/secret/tags/list")
    assert (denied.status, _code(denied)) == (403, "DENIED")


def test_mount_from_where_one_may_not_pull(context: Context) -> None:
    """Begins an upload: neither the blob nor its being there is given away."""
    digest = _blob(context, "secret", b"secret")
    response = _handle(context, "POST", "/v2/a/blobs/uploads/", f"mount={digest}&from=secret")
    assert response.status == 202
    assert context.store.repository("a").blob_size(digest) is None
    digest = _blob(context, "open", b"open")
    assert _handle(context, "POST", "/v2/a/blobs/uploads/", f"mount={digest}&from=open").status == 201
    assert _handle(context, "POST", "/v2/nobody/blobs/uploads/", f"mount={digest}&from=open").status == 401


def test_events(context: Context) -> None:
    """A mount, a pull and a deletion are told; a HEAD is not."""
    digest = _blob(context, "a", b"data")
    _handle(context, "POST", "/v2/b/blobs/uploads/", f"mount={digest}&from=a")
    _handle(context, "HEAD", f"/v2/b/blobs/{digest}")
    _handle(context, "GET", f"/v2/b/blobs/{digest}", host="reg:5000")
    _handle(context, "DELETE", f"/v2/b/blobs/{digest}")
    (ear,) = context.observers
    assert isinstance(ear, Ear)
    assert [(one.action, one.repository, one.from_repository, one.digest) for one in ear.heard] == [
        ("mount", "b", "a", digest),
        ("pull", "b", "", digest),
        ("delete", "b", "", digest),
    ]
    assert ear.heard[1].url == f"http://reg:5000/v2/b/blobs/{digest}"
    assert ear.heard[1].request is not None
    assert ear.heard[1].request.user == "somebody"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OSError(errno.EIO, "Input/output error"), 500, "UNKNOWN"),
        (OSError(errno.ENOSPC, "No space left on device"), 503, "UNAVAILABLE"),
        (RuntimeError("a bug"), 500, "UNKNOWN"),
    ],
)
def test_failures(context: Context, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str) -> None:
    """What fails inside is answered in the same form, without what is nobody's business."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(context.store, "repositories", fail)
    response = _handle(context, "GET", "/v2/_catalog")
    assert (response.status, _code(response)) == (status, code)
    assert isinstance(response.body, bytes)
    assert b"a bug" not in response.body


def test_cache_takes_no_pushes(context: Context) -> None:
    """With an upstream every change is refused."""
    context.upstream = object()  # type: ignore[assignment]
    for method, path in (
        ("POST", "/v2/a/blobs/uploads/"),
        ("PUT", "/v2/a/manifests/x"),
        ("DELETE", "/v2/a/manifests/x"),
    ):
        response = _handle(context, method, path)
        assert (response.status, _code(response)) == (405, "UNSUPPORTED")


def test_if_range(context: Context) -> None:
    """A range of something else than the client has is answered by the whole."""
    digest = _blob(context, "a", b"0123456789")
    same = _handle(context, "GET", f"/v2/a/blobs/{digest}", range="bytes=2-3", if_range=f'"{digest}"')
    assert (same.status, same.headers["Content-Range"]) == (206, "bytes 2-3/10")
    other = _handle(context, "GET", f"/v2/a/blobs/{digest}", range="bytes=2-3", if_range='"else"')
    assert other.status == 200


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=9-", (9, 1)),
        ("bytes=-20", (0, 10)),
        ("bytes=3-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("bytes=a-b", None),
        (None, None),
    ],
)
def test_parse_range(text: str | None, found: tuple[int, int] | None) -> None:
    """RFC 9110, 14.1.2; several ranges are answered by the whole."""
    assert parse_range(text, 10) == found


@pytest.mark.parametrize(("text", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)])
def test_unsatisfiable_range(text: str, size: int) -> None:
    """416 with the size."""
    with pytest.raises(BadRange) as caught:
        parse_range(text, size)
    assert caught.value.headers == {"Content-Range": f"bytes */{size}"}


def test_foreign_layers(context: Context) -> None:
    """Layers that are not pushed are not looked for; where they may lie is set by ``validation.manifests.urls``."""
    config = _blob(context, "a", b"{}")
    layer = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": digest_of(b"elsewhere"),
        "size": 9,
        "urls": ["https://layers.example/one"],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": config, "size": 2},
        "layers": [layer],
    }
    assert _put(context, manifest).status == 201
    context.settings = replace(context.settings, urls_denied=(re.compile("^https://layers"),))
    assert _code(_put(context, manifest)) == "MANIFEST_INVALID"
    context.settings = replace(context.settings, urls_denied=(), urls_allowed=(re.compile("^https://other"),))
    assert _code(_put(context, manifest)) == "MANIFEST_INVALID"
    layer["urls"] = ["file:///etc/passwd"]
    context.settings = replace(context.settings, urls_allowed=())
    assert _code(_put(context, manifest)) == "MANIFEST_INVALID"


class _Raw:
    received = 0

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.length: int | None = len(raw)

    def readinto(self, buffer: memoryview) -> int:
        raise NotImplementedError

    def read(self, limit: int) -> bytes:
        del limit
        return self.raw


def _put(context: Context, manifest: dict[str, Any]) -> Response:
    asked = request("PUT", "/v2/a/manifests/foreign", content_type=manifest["mediaType"])
    asked.body = _Raw(json.dumps(manifest).encode())
    return App(context, Health([])).handle(asked)
