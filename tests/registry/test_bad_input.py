"""What clients send that they should not: a clear error in the form of the specification, and nothing stays stored."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator

import pytest

from distribution.client import OCI_MANIFEST, OCTETS, digest_of, encode
from registry.ours import Ours
from support.commands import eventually

UPLOAD = "blobs/uploads/"


@pytest.fixture(scope="module")
def server() -> Iterator[Ours]:
    with Ours() as one:
        yield one


@pytest.fixture
def registry(server: Ours) -> Iterator[Ours]:
    """The server, whose storage holds afterwards what it held before."""
    before = server.files()
    yield server
    eventually("nothing is left in the storage", lambda: server.files() == before)
    assert server.client.call("GET", "/v2/").status == 200


def _codes(answer: bytes) -> tuple[int, list[str]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), [one["code"] for one in json.loads(body)["errors"]]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET /v2/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /v2/%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2/?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    ],
    ids=["TLS", "no host", "bad length", "two framings", "not UTF-8", "bad escape", "huge header", "huge path"],
)
def test_no_request(registry: Ours, raw: bytes, status: int) -> None:
    """Bytes that are no request of ours are refused with 4xx and errors in JSON."""
    if raw.startswith(b"\x16"):
        raw += b"\r\n\r\n"
    found, codes = _codes(registry.ask(raw))
    assert (found, codes) == (status, ["UNSUPPORTED"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/../../etc/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a/%2e%2e/%2e%2e/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a/manifests/..", 400, "TAG_INVALID"),
        ("/v2/a/manifests/%2e%2e", 400, "TAG_INVALID"),
        ("/v2/a/manifests/-x", 400, "TAG_INVALID"),
        (f"/v2/a/manifests/{'x' * 129}", 400, "TAG_INVALID"),
        ("/v2/a/manifests/sha256:..", 400, "DIGEST_INVALID"),
        (f"/v2/a/blobs/md5:{'0' * 32}", 400, "DIGEST_INVALID"),
        (f"/v2/a/blobs/sha256:{'g' * 64}", 400, "DIGEST_INVALID"),
        ("/v2/a/blobs/sha256:..%2f..%2fetc", 404, "NAME_INVALID"),
        ("/v2/a/blobs/uploads/..", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/a/blobs/uploads/%2e%2e", 404, "BLOB_UPLOAD_UNKNOWN"),
        (f"/v2/{'a' * 256}/manifests/x", 400, "NAME_INVALID"),
        ("/v2/_layers/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a/_uploads/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a%00b/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a%0ab/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a/unknown", 404, "NAME_INVALID"),
        ("/elsewhere", 404, "NAME_UNKNOWN"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_paths(registry: Ours, method: str, path: str, status: int, code: str) -> None:
    """No path leads out of the storage; each is refused for what is wrong with it."""
    raw = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    assert _codes(registry.ask(raw)) == (status, [code])


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (b"12345", {"Content-Range": "0-9"}, 400, "SIZE_INVALID"),
        (b"12345", {"Content-Range": "5-0"}, 400, "BLOB_UPLOAD_INVALID"),
        (b"12345", {"Content-Range": "nonsense"}, 400, "BLOB_UPLOAD_INVALID"),
        (b"12345", {"Content-Range": f"{10**17}-{10**17 + 4}"}, 416, "RANGE_INVALID"),
    ],
)
def test_content_range(registry: Ours, data: bytes, headers: dict[str, str], status: int, code: str) -> None:
    """A chunk that is not what its Content-Range says is refused, and the upload goes on as it was."""
    repository = registry.repository("range")
    location = repository.begin()
    answer = repository.patch(location, data, headers)
    assert (answer.status, answer.codes) == (status, [code])
    assert registry.client.call("GET", location).headers["range"] == "0-0"
    assert registry.client.call("DELETE", location).status == 204


def test_stream_longer_than_its_range(registry: Ours) -> None:
    """A chunked body with more bytes than its Content-Range says is refused."""
    repository = registry.repository("range")
    location = repository.begin()
    answer = repository.patch(location, iter([b"x" * 100] * 100), {"Content-Range": "0-99"})
    assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])
    assert registry.client.call("DELETE", location).status == 204


def test_wrong_digest_leaves_no_upload(registry: Ours) -> None:
    """Content of another digest ends the upload, by PUT and by POST."""
    repository = registry.repository("digest")
    location = repository.begin()
    assert repository.put(location, digest_of(b"this"), b"that").codes == ["DIGEST_INVALID"]
    assert registry.client.call("GET", location).codes == ["BLOB_UPLOAD_UNKNOWN"]
    answer = repository.call("POST", f"{UPLOAD}?digest={digest_of(b'this')}", b"that", {"Content-Type": OCTETS})
    assert answer.codes == ["DIGEST_INVALID"]


def test_client_goes_during_a_single_post(registry: Ours) -> None:
    """A POST whose body breaks off leaves nothing."""
    path = f"/v2/gone/{UPLOAD}?digest={digest_of(b'x' * 100_000)}"
    with registry.connection() as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode() + b"x" * 5000)
    eventually("the registry has noticed", lambda: f'{path} HTTP/1.1" 499' in registry.log.read_text())


def test_broken_chunks(registry: Ours) -> None:
    """A body that is no chunked coding is refused as an upload that is none."""
    location = registry.repository("chunks").begin()
    path = location.removeprefix(registry.url)
    head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for body in (b"zz\r\n", b"5\r\nabcdeXX\r\n"):
        assert _codes(registry.ask(head + body)) == (400, ["BLOB_UPLOAD_INVALID"])
    assert registry.client.call("DELETE", location).status == 204


def test_manifest_too_large(registry: Ours) -> None:
    """A manifest over 4 MiB is 413 SIZE_INVALID, whether its length was announced or not."""
    repository = registry.repository("large")
    body = b" " * (4 * 1024 * 1024 + 1)
    for data in (body, iter([body[: 1 << 20]] * 5)):
        answer = repository.call("PUT", "manifests/x", data, {"Content-Type": OCI_MANIFEST})
        assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"])


def test_manifest_that_lies_about_a_size(server: Ours) -> None:
    """A descriptor with another size than its blob has is MANIFEST_INVALID."""
    repository = server.repository("lies")
    manifest = repository.image("lies")
    manifest["layers"][0]["size"] += 1
    answer = repository.push("v1", manifest)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert repository.get("v1").status == 404


@pytest.mark.parametrize("version", [1, 3])
def test_schema_version(server: Ours, version: int) -> None:
    """Schema 1 is refused by name."""
    answer = server.repository("schema").push("v1", {**server.repository("schema").image(), "schemaVersion": version})
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert "schema version" in json.dumps(answer.json())


def test_both_kinds_at_once(server: Ours) -> None:
    """What could be read as an image and as an index is neither (CVE-2021-41190)."""
    repository = server.repository("both")
    answer = repository.push("v1", {**repository.image("both"), "manifests": []})
    assert answer.codes == ["MANIFEST_INVALID"]


def test_symbolic_links_in_the_storage(server: Ours, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link in the storage is not followed, to read or to write; the client is told."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "data").write_bytes(b"secret")
    repository = server.repository("links")
    raw = repository.push_image("v1", "links")
    blob = json.loads(raw)["layers"][0]["digest"]
    path = server.blob_path(blob)
    path.unlink()
    path.symlink_to(outside / "data")
    answer = repository.call("GET", f"blobs/{blob}")
    assert (answer.status, answer.codes) == (500, ["UNKNOWN"])
    assert "symbolic link" in answer.json()["errors"][0]["message"]
    path.unlink()

    name = f"l{uuid.uuid4().hex[:8]}"
    os.symlink(outside, server.storage / "docker/registry/v2/repositories" / name)
    linked = server.repository(name)
    assert linked.call("POST", UPLOAD).codes == ["UNKNOWN"]
    assert linked.call("GET", "tags/list").codes == ["UNKNOWN"]
    assert [entry.name for entry in outside.iterdir()] == ["data"]


def test_damaged_manifest(server: Ours) -> None:
    """A manifest whose file has been tampered with is not served; pushed again, it is mended."""
    repository = server.repository("damaged")
    raw = repository.push_image("v1", "damaged")
    server.blob_path(digest_of(raw)).write_bytes(raw.replace(b"layer", b"LAYER"))
    assert repository.get("v1").codes == ["MANIFEST_UNKNOWN"]
    assert repository.push("v1", json.loads(raw)).status == 201
    assert repository.get("v1").body == raw == encode(json.loads(raw))


def test_torn_link(server: Ours) -> None:
    """A tag whose link is empty after a crash of another registry is unknown, and can be pushed anew."""
    repository = server.repository("torn")
    raw = repository.push_image("v1", "torn")
    link = server.storage / "docker/registry/v2/repositories/torn/_manifests/tags/v1/current/link"
    link.write_bytes(b"")
    assert repository.get("v1").codes == ["MANIFEST_UNKNOWN"]
    assert repository.push_image("v1", "torn") == raw
    assert repository.get("v1").status == 200


def test_slow_head_is_ended(server: Ours) -> None:
    """Half a head and then end of file is no request, and costs nothing."""
    with server.connection() as sock:
        sock.sendall(b"GET /v2/ HTTP/1.1\r\nHo")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
