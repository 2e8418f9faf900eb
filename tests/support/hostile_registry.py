"""A small registry on loopback that is correct until it is told to misbehave. For tests of pull, push and transport.

    with HostileRegistry() as registry:
        digest = registry.add_image("team/app", "latest", [layer_bytes])       # manifest, config and blobs
        registry.on("GET", r"/v2/team/app/blobs/.*", Answer(500), PASS)         # once 500, then as it should be
        registry.on("GET", r".*/manifests/.*", error(404, "MANIFEST_UNKNOWN", "manifest unknown"))   # always
        name = f"{registry.host}/team/app:latest"                               # 127.0.0.1:<port>
        assert registry.seen("GET", r".*/blobs/.*")                              # requests, in order

What a rule answers with, one after the other, the last one for ever:
    PASS                           what a good registry answers
    Answer(status, body, headers)  this; ``length`` overrides Content-Length (longer: a truncated body);
                                   ``stall`` seconds of silence before the head, ``stop_after`` bytes of the body sent
                                   before silence (``stall``) or a hang-up; ``drip`` seconds between pieces
    ENDLESS                        200 and bytes without end
    GARBAGE                        bytes that are no HTTP
    HANG_UP                        nothing at all
    error(status, code, message)   a refusal as the distribution specification wants it
    cut(n)                         the right answer, broken off after n bytes of the body
    redirect(location, status)     to another place

``basic=("user", "password")`` demands Basic, ``bearer=("user", "password")`` a token from the registry's own ``/token``
(anonymous ones are good for pulling what is in ``public``). ``ranges=False`` ignores Range. ``tls=(cert, key)`` serves
https. ``identity_tokens`` are the refresh tokens that ``/token`` takes and ``offline_token=true`` gets.
Attributes: ``host``, ``url``, ``blobs`` (digest → bytes), ``manifests`` ((repository, reference) → (type, bytes)),
``requests`` (every request as ``Seen``), ``tokens`` (what was handed out).
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from support.images import digest_of

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    stall: float = 0.0
    stop_after: int | None = None
    drip: float = 0.0
    raw: bytes | None = None
    """Sent instead of a head and a body."""
    endless: bool = False
    cut: int | None = None


PASS = Answer(-1)
ENDLESS = Answer(200, endless=True)
GARBAGE = Answer(raw=b"garbage, not HTTP\r\n\r\n")
HANG_UP = Answer(raw=b"")


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status, body, {"Content-Type": "application/json", **(headers or {})})


def cut(count: int) -> Answer:
    return replace(PASS, cut=count)


def redirect(location: str, status: int = 307) -> Answer:
    return Answer(status, b"", {"Location": location})


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    connection: tuple[str, int]
    """The client's end, which tells connections apart."""


def self_signed(directory: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key: files for ``tls``."""
    pair = str(directory / "cert.pem"), str(directory / "key.pem")
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]]
    subprocess.run(["openssl", "req", *options.split(), *names], check=True, capture_output=True)
    return pair


class HostileRegistry:
    def __init__(
        self,
        *,
        basic: tuple[str, str] | None = None,
        bearer: tuple[str, str] | None = None,
        tls: tuple[str, str] | None = None,
        ranges: bool = True,
        relative: bool = False,
    ) -> None:
        self.basic, self.bearer, self.ranges, self.relative = basic, bearer, ranges, relative
        self.public: set[str] = set()
        self.identity_tokens: set[str] = set()
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[Seen] = []
        self.tokens: dict[str, set[str]] = {}
        self.silence = threading.Event()
        self._rules: list[tuple[str, re.Pattern[str], list[Answer]]] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        outer = self

        class Handler(_Handler):
            registry = outer

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """A client that hangs up is what the tests are about."""

            def get_request(self):
                connection, address = super().get_request()
                outer._open.add(connection)
                if tls is not None:
                    # The handshake is made by the thread that serves the connection.
                    connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                    outer._open.add(connection)
                return connection, address

        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.context = context
        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.silence.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            connection.close()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """From now on, requests whose path (with query) matches get these. The newest rule counts."""
        with self._lock:
            self._rules.insert(0, (method, re.compile(path), list(answers)))

    def seen(self, method: str = ".*", path: str = ".*") -> list[Seen]:
        """The requests that match, in order."""
        with self._lock:
            every = list(self.requests)
        return [one for one in every if re.fullmatch(method, one.method) and re.fullmatch(path, one.path)]

    def add_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    def add_manifest(self, repository: str, tag: str, document: Any, media_type: str = OCI_MANIFEST) -> str:
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = digest_of(raw)
        for reference in filter(None, (tag, digest)):
            self.manifests[repository, reference] = media_type, raw
        return digest

    def add_image(
        self, repository: str, tag: str, layers: list[bytes], *, diff_ids: list[str] | None = None, **config: Any
    ) -> str:
        """An image of these layers (tars, plain unless ``diff_ids`` are given); the digest of its manifest."""
        ids = diff_ids or [digest_of(layer) for layer in layers]
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": ids},
            **config,
        }
        raw = json.dumps(document).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": self.add_blob(raw), "size": len(raw)},
            "layers": [
                {
                    "mediaType": OCI_LAYER + ("+gzip" if one[:2] == b"\x1f\x8b" else ""),
                    "digest": self.add_blob(one),
                    "size": len(one),
                }
                for one in layers
            ],
        }
        return self.add_manifest(repository, tag, manifest)

    def _rule(self, seen: Seen) -> Answer:
        with self._lock:
            self.requests.append(seen)
            for method, pattern, answers in self._rules:
                if method == seen.method and pattern.fullmatch(seen.path):
                    return answers.pop(0) if len(answers) > 1 else answers[0]
        return PASS


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: HostileRegistry
    timeout = 30

    def log_message(self, *_: object) -> None:
        """Silence."""

    def do_any(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, body, self.client_address)
        rule = self.registry._rule(seen)
        answer = rule
        if rule.status == PASS.status and rule.raw is None:
            answer = self._good(seen)
            if rule.cut is not None:
                answer = replace(answer, stop_after=rule.cut)
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815  as http.server wants them

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _send(self, answer: Answer) -> None:
        if answer.stall and answer.stop_after is None:
            self.registry.silence.wait(answer.stall)
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.endless:
            self.send_header("Connection", "close")
            self.end_headers()
            self._flood()
            return
        length = len(answer.body) if answer.length is None else answer.length
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        self._send_body(answer)
        if answer.stop_after is not None or length > len(answer.body):
            self.close_connection = True

    def _send_body(self, answer: Answer) -> None:
        body = answer.body if answer.stop_after is None else answer.body[: answer.stop_after]
        if answer.drip:
            for start in range(0, len(body), 1024):
                self.wfile.write(body[start : start + 1024])
                self.registry.silence.wait(answer.drip)
            return
        self.wfile.write(body)
        self.wfile.flush()
        if answer.stop_after is not None and answer.stall:
            self.registry.silence.wait(answer.stall)

    def _flood(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            while not self.registry.silence.is_set():
                self.wfile.write(b" " * 65536)

    # --- the registry as it should be

    def _good(self, seen: Seen) -> Answer:
        path = urlsplit(seen.path).path
        if path == "/token":
            return self._token(seen)
        refused = self._refused(seen, path)
        if refused is not None:
            return refused
        if path in {"/v2/", "/v2"}:
            return Answer(200, b"{}", {"Docker-Distribution-Api-Version": "registry/2.0"})
        for pattern, method in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match is not None:
                found: Answer = getattr(self, method)(seen, *match.groups())
                return found
        return error(404, "NOT_FOUND", "page not found")

    def _refused(self, seen: Seen, path: str) -> Answer | None:
        registry, given = self.registry, seen.headers.get("authorization", "")
        if registry.basic is not None:
            if given == _basic(registry.basic):
                return None
            return error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="hostile"'})
        if registry.bearer is None:
            return None
        match = re.match(r"/v2/(.+?)/(?:blobs|manifests|tags|referrers)/", path)
        action = "pull" if seen.method in {"GET", "HEAD"} else "push"
        wanted = f"repository:{match[1]}:{action}" if match else ""
        granted = registry.tokens.get(given.removeprefix("Bearer "))
        if granted is not None and (not wanted or wanted in granted):
            return None
        asked = f"repository:{match[1]}:pull{',push' if action == 'push' else ''}" if match else ""
        challenge = f'Bearer realm="{registry.url}/token",service="hostile"'
        if asked:
            challenge += f',scope="{asked}"'
        if granted is not None:
            challenge += ',error="insufficient_scope"'
        return error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})

    def _token(self, seen: Seen) -> Answer:
        registry = self.registry
        form = parse_qs(seen.body.decode()) if seen.method == "POST" else parse_qs(urlsplit(seen.path).query)
        known = registry.bearer is not None and seen.headers.get("authorization", "") == _basic(registry.bearer)
        if seen.method == "POST":
            known = form.get("refresh_token", [""])[0] in registry.identity_tokens
        if not known and (seen.method == "POST" or "authorization" in seen.headers):
            return Answer(401, json.dumps({"details": "incorrect username or password"}).encode())
        granted: set[str] = set()
        for scope in " ".join(form.get("scope", [])).split():
            kind, repository, actions = scope.split(":")
            for action in actions.split(","):
                if known or (action == "pull" and repository in registry.public):
                    granted.add(f"{kind}:{repository}:{action}")
        token = f"token-{len(registry.tokens)}"
        registry.tokens[token] = granted
        told: dict[str, Any] = {"token": token, "expires_in": 300}
        if form.get("offline_token") == ["true"]:
            refresh = f"identity-{len(registry.tokens)}"
            registry.identity_tokens.add(refresh)
            told["refresh_token"] = refresh
        return Answer(200, json.dumps(told).encode())

    def _manifest(self, seen: Seen, repository: str, reference: str) -> Answer:
        registry = self.registry
        if seen.method == "PUT":
            digest = registry.add_manifest(
                repository, "" if ":" in reference else reference, seen.body, seen.headers.get("content-type", "")
            )
            return Answer(201, b"", {"Docker-Content-Digest": digest, "Location": self.path})
        if seen.method == "DELETE":
            found = registry.manifests.pop((repository, reference), None)
            return Answer(202) if found else error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if (repository, reference) not in registry.manifests:
            return error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        media_type, raw = registry.manifests[repository, reference]
        return Answer(200, raw, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(raw)})

    def _blob(self, seen: Seen, _repository: str, digest: str) -> Answer:
        data = self.registry.blobs.get(digest)
        if data is None:
            return error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        match = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
        if match is None or not self.registry.ranges:
            return Answer(200, data, headers)
        start = int(match[1])
        if start >= len(data):
            return Answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        return Answer(206, data[start:], {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

    def _begin(self, seen: Seen, repository: str) -> Answer:
        query = dict(parse_qsl(urlsplit(seen.path).query))
        if query.get("mount") in self.registry.blobs:
            return Answer(201, b"", {"Location": f"/v2/{repository}/blobs/{query['mount']}"})
        name = f"upload-{len(self.registry.uploads)}"
        self.registry.uploads[name] = b""
        return Answer(202, b"", {"Location": self._location(repository, name), "Range": "0-0"})

    def _upload(self, seen: Seen, repository: str, name: str) -> Answer:
        registry = self.registry
        if name not in registry.uploads:
            return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        registry.uploads[name] += seen.body
        if seen.method == "PATCH":
            ranged = f"0-{len(registry.uploads[name]) - 1}"
            return Answer(202, b"", {"Location": self._location(repository, name), "Range": ranged})
        digest = dict(parse_qsl(urlsplit(seen.path).query)).get("digest", "")
        data = registry.uploads.pop(name)
        if digest_of(data) != digest:
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        registry.blobs[digest] = data
        return Answer(201, b"", {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _location(self, repository: str, name: str) -> str:
        path = f"/v2/{repository}/blobs/uploads/{name}?_state=x%3D"
        return path if self.registry.relative else f"{self.registry.url}{path}"

    def _tags(self, seen: Seen, repository: str) -> Answer:
        tags = sorted(
            reference for name, reference in self.registry.manifests if name == repository and ":" not in reference
        )
        if not tags:
            return error(404, "NAME_UNKNOWN", "repository name not known to registry")
        query = dict(parse_qsl(urlsplit(seen.path).query))
        rest = [tag for tag in tags if tag > query.get("last", "")]
        count = int(query.get("n", len(rest)))
        page, headers = rest[:count], {"Content-Type": "application/json"}
        if len(rest) > count:
            headers["Link"] = f'</v2/{repository}/tags/list?n={count}&last={page[-1]}>; rel="next"'
        return Answer(200, json.dumps({"name": repository, "tags": page}).encode(), headers)


_ROUTES = (
    (r"/v2/(.+)/manifests/([^/]+)", "_manifest"),
    (r"/v2/(.+)/blobs/uploads/", "_begin"),
    (r"/v2/(.+)/blobs/uploads/([^/]+)", "_upload"),
    (r"/v2/(.+)/blobs/([^/]+)", "_blob"),
    (r"/v2/(.+)/tags/list", "_tags"),
)


def _basic(pair: tuple[str, str]) -> str:
    return f"Basic {base64.b64encode(':'.join(pair).encode()).decode()}"
