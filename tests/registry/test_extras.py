"""A whole registry with what hangs on it: passwords, TLS, metrics, webhooks, collections, S3, a cache of another."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from distribution.client import OCI_INDEX, OCI_MANIFEST, digest_of
from registry.hook_server import HookServer
from registry.ours import Ours
from registry.s3_server import s3_server
from support.commands import eventually
from wherry.registry.s3 import S3Driver

MIB = 1024 * 1024
DEBUG = {"addr": "127.0.0.1:0", "prometheus": {"enabled": True}}


def _http(**more: Any) -> dict[str, Any]:
    return {"addr": "127.0.0.1:0", **more}


def _debug(registry: Ours, path: str) -> tuple[int, str]:
    port = re.findall(r"debug server listening \S*?:(\d+)", registry.log.read_text())[-1]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


# --- who may


def test_passwords(tmp_path: Path) -> None:
    """Without the right one nothing is told; with it everything works."""
    file = tmp_path / "htpasswd"
    file.write_text(f"alice:{bcrypt.hashpw(b'sesame', bcrypt.gensalt(4)).decode()}\n")
    with Ours(settings={"auth": {"htpasswd": {"realm": "here", "path": str(file)}}}) as registry:
        for path in ("/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/manifests/latest"):
            refused = registry.client.call("GET", path)
            assert refused.status == 401
            assert refused.codes == ["UNAUTHORIZED"]
            assert refused.headers["www-authenticate"] == 'Basic realm="here"'
        assert registry.client.call("GET", "/v2/", headers=_basic("alice", "wrong")).status == 401
        assert registry.client.call("GET", "/v2/", headers=_basic("alice", "sesame")).status == 200
        assert registry.client.call("POST", "/v2/a/blobs/uploads/", headers=_basic("alice", "sesame")).status == 202
        assert registry.client.call("GET", "/").status == 200


def test_a_missing_password_file_ends_the_start(tmp_path: Path) -> None:
    """A registry that cannot know who may do what does not serve; it says why in one line."""
    config = tmp_path / "config.yml"
    config.write_text(json.dumps({"version": "0.1", "auth": {"token": {"realm": "r", "service": "s", "issuer": "i"}}}))
    argv = [sys.executable, "-m", "wherry.registry.main", "serve", str(config), "--root", str(tmp_path / "data")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "wherry-registry: token auth requires at least one token signing key"


# --- TLS


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, and one for a client, each its own root."""
    place = tmp_path_factory.mktemp("keys")
    for name in ("server", "client"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", place / f"{name}.key", "-out", place / f"{name}.pem"),
            ],
            check=True,
            capture_output=True,
        )
    return place


def _over_tls(registry: Ours, keys: Path, *, client: bool = False, maximum: ssl.TLSVersion | None = None) -> int:
    context = ssl.create_default_context(cafile=str(keys / "server.pem"))
    if client:
        context.load_cert_chain(keys / "client.pem", keys / "client.key")
    if maximum is not None:
        context.maximum_version = maximum
    connection = http.client.HTTPSConnection("127.0.0.1", registry.port, timeout=10, context=context)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status
    finally:
        connection.close()


def test_tls(keys: Path) -> None:
    """By the certificate and from the version on that are configured; a renewed certificate needs no restart."""
    tls = {"certificate": str(keys / "server.pem"), "key": str(keys / "server.key"), "minimumtls": "tls1.3"}
    with Ours(settings={"http": _http(tls=tls)}) as registry:
        assert _over_tls(registry, keys) == 200
        with pytest.raises(OSError, match=r"(?i)version|alert|closed|reset|EOF"):
            _over_tls(registry, keys, maximum=ssl.TLSVersion.TLSv1_2)
        os.utime(keys / "server.pem")
        assert _over_tls(registry, keys) == 200
        assert "certificates read anew" in registry.log.read_text()


def test_clients_with_certificates(keys: Path) -> None:
    """With clientcas nobody comes in without one."""
    tls = {
        "certificate": str(keys / "server.pem"), "key": str(keys / "server.key"),
        "clientcas": [str(keys / "client.pem")],
    }  # fmt: skip
    with Ours(settings={"http": _http(tls=tls)}) as registry:
        assert _over_tls(registry, keys, client=True) == 200
        with pytest.raises(OSError, match=r"(?i)certificate|alert|closed|reset|pipe|EOF"):
            _over_tls(registry, keys)


# --- what is told


def test_metrics_and_health() -> None:
    """The debug address tells what was asked, how long it took, and what the storage holds."""
    with Ours(settings={"http": _http(debug=DEBUG), "health": {"storagedriver": {"enabled": True}}}) as registry:
        registry.repository("a/b").push_image("latest")
        assert registry.repository("a/b").get("latest").status == 200
        assert registry.repository("a/b").get("missing").status == 404
        assert _debug(registry, "/debug/health") == (200, "{}")
        assert _debug(registry, "/elsewhere")[0] == 404

        def told() -> bool:
            text = _debug(registry, "/metrics")[1]
            return all(
                line in text
                for line in (
                    'registry_http_requests_total{code="200",handler="manifest",method="get"} 1\n',
                    'registry_http_requests_total{code="404",handler="manifest",method="get"} 1\n',
                    'registry_http_requests_total{code="202",handler="blob_upload",method="post"} 2\n',
                    'registry_http_request_duration_seconds_bucket{handler="manifest",method="put",le="+Inf"} 1\n',
                    'registry_http_in_flight_requests{handler="manifest"} 0\n',
                    'registry_events_total{action="push",kind="blob"} 2\n',
                    'registry_events_total{action="push",kind="manifest"} 1\n',
                    'registry_events_total{action="pull",kind="manifest"} 1\n',
                    "registry_storage_blobs 3\n",
                )
            )

        eventually("the metrics tell it all", told, within=10)


def test_webhooks() -> None:
    """A push, a pull, a mount and a deletion are told as Docker's registry tells them, in order."""
    with HookServer() as server:
        endpoint = {"name": "hook", "url": server.url, "headers": {"X-Secret": ["s"]}}
        with Ours(settings={"notifications": {"endpoints": [endpoint]}}) as registry:
            repository = registry.repository("a/b")
            raw = repository.push_image("latest")
            layer = json.loads(raw)["layers"][0]["digest"]
            repository.get("latest")
            other = registry.repository("other")
            assert other.call("POST", f"blobs/uploads/?mount={layer}&from=a/b").status == 201
            assert repository.call("DELETE", f"manifests/{digest_of(raw)}").status == 202
            events = [server.next().body["events"][0] for _ in range(6)]
    assert [one["action"] for one in events] == ["push", "push", "push", "pull", "mount", "delete"]
    manifest = events[2]["target"]
    assert (manifest["repository"], manifest["tag"], manifest["size"]) == ("a/b", "latest", len(raw))
    assert manifest["mediaType"] == OCI_MANIFEST
    assert manifest["url"] == f"{registry.url}/v2/a/b/manifests/{digest_of(raw)}"
    assert events[4]["target"]["fromRepository"] == "a/b"
    assert events[5]["target"]["digest"] == digest_of(raw)
    assert events[0]["request"]["method"] == "PUT"


# --- collections


def _collect(registry: Ours, *flags: str) -> str:
    argv = [sys.executable, "-m", "wherry.registry.main", "garbage-collect", *flags, f"{registry.root}/config.yml"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_collect_while_it_does_not_serve() -> None:
    """The command takes what was deleted, and with --delete-untagged what no tag leads to; an index stays whole."""
    with Ours() as registry:
        repository = registry.repository("multi/arch")
        children = [repository.image(one) for one in ("amd64", "arm64")]
        digests = [repository.push("", child).headers["docker-content-digest"] for child in children]
        listed = [
            {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(repository.get(digest).body)}
            for digest in digests
        ]
        repository.push("latest", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}, OCI_INDEX)
        untagged = repository.push("", repository.image("untagged")).headers["docker-content-digest"]
        registry.stop()
        before = registry.files()
        assert "1 manifests eligible for deletion" in _collect(registry, "--dry-run", "--delete-untagged")
        assert registry.files() == before
        assert "0 blobs and 0 manifests eligible" in _collect(registry)
        _collect(registry, "-m", "-q")
        registry.start()
        assert registry.repository("multi/arch").get(untagged).status == 404
        assert all(registry.repository("multi/arch").get(digest).status == 200 for digest in ("latest", *digests))
        for child in children:
            for one in (child["config"], *child["layers"]):
                assert registry.repository("multi/arch").call("HEAD", f"blobs/{one['digest']}").status == 200


def test_collect_while_it_serves() -> None:
    """What nobody needs goes by itself, while images come and go unharmed."""
    maintenance = {"garbagecollect": {"enabled": True, "interval": "100ms", "grace": "400ms", "deleteuntagged": True}}
    with Ours() as registry:
        storage = {"filesystem": {"rootdirectory": str(registry.storage)}, "maintenance": maintenance}
        registry.stop()
        registry._settings = {"storage": storage, "http": _http(debug=DEBUG)}
        registry.port = 0
        registry.start()
        repository = registry.repository("a")
        lonely = repository.push_blob(b"nobody's")["digest"]
        first = digest_of(repository.push_image("latest", "first"))
        for number in range(12):
            repository.push_image("latest", f"image {number}")
            assert repository.get("latest").status == 200
            time.sleep(0.05)
        eventually(
            "the garbage is gone",
            lambda: repository.call("HEAD", f"blobs/{lonely}").status == 404 and repository.get(first).status == 404,
            within=15,
        )
        manifest = repository.get("latest").json()
        for one in (manifest["config"], *manifest["layers"]):
            assert repository.call("GET", f"blobs/{one['digest']}").status == 200
        assert "registry_gc_deleted_blobs_total" in _debug(registry, "/metrics")[1]


# --- S3


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, object]]:
    with s3_server() as options:
        yield options


@pytest.mark.parametrize("redirect", [True, False], ids=["redirects", "serves itself"])
def test_in_a_bucket(bucket: dict[str, object], *, redirect: bool) -> None:
    """Chunks of several requests, a restart in between, and every byte comes back, by a redirect or without."""
    place = {**bucket, "rootdirectory": f"redirect-{redirect}"}
    storage = {"s3": place, "delete": {"enabled": True}, "redirect": {"disable": not redirect}}
    data = os.urandom(12 * MIB)
    with Ours(settings={"storage": storage}) as registry:
        repository = registry.repository("a/b")
        location = repository.chunk(repository.begin(), data[: 7 * MIB], 0).location
        registry.stop()
        registry.start()
        assert repository.call("GET", location.partition("/v2/a/b/")[2]).headers["range"] == f"0-{7 * MIB - 1}"
        location = repository.chunk(location, data[7 * MIB :], 7 * MIB).location
        assert repository.put(location, digest_of(data)).status == 201
        repository.push_image("latest")
        answer = repository.call("GET", f"blobs/{digest_of(data)}")
        assert answer.status == (307 if redirect else 200)
        if redirect:
            with urllib.request.urlopen(answer.location, timeout=20) as fetched:
                assert fetched.read() == data
        else:
            assert answer.body == data
            part = repository.call("GET", f"blobs/{digest_of(data)}", headers={"Range": "bytes=1000-1999"})
            assert (part.status, part.body) == (206, data[1000:2000])
        assert repository.call("GET", "tags/list").json() == {"name": "a/b", "tags": ["latest"]}
        assert repository.call("DELETE", "manifests/latest").status == 202
        driver = S3Driver.from_options(place)
        assert not [path for path, _ in driver.walk("") if "_uploads" in path]
        driver.close()


# --- a cache


def test_a_cache_of_another_registry(tmp_path: Path) -> None:
    """Through a password to upstream: fetched once for many, kept, revalidated, served when upstream is gone."""
    file = tmp_path / "htpasswd"
    file.write_text(f"alice:{bcrypt.hashpw(b'sesame', bcrypt.gensalt(4)).decode()}\n")
    with Ours() as upstream:
        layer = os.urandom(8 * MIB)
        source = upstream.repository("lib/app")
        manifest = source.image("one")
        manifest["layers"].append(source.push_blob(layer))
        source.push("latest", manifest)
        upstream.stop()
        upstream._settings = {"auth": {"htpasswd": {"realm": "r", "path": str(file)}}}
        upstream.start()
        proxy = {"remoteurl": upstream.url, "username": "alice", "password": "sesame"}
        with Ours(settings={"proxy": proxy, "http": _http(debug=DEBUG)}) as cache:
            repository = cache.repository("lib/app")
            got = repository.get("latest")
            assert (got.status, got.json()) == (200, manifest)
            with ThreadPoolExecutor(8) as threads:
                answers = list(threads.map(lambda _: repository.call("GET", f"blobs/{digest_of(layer)}"), range(8)))
            assert all(answer.body == layer for answer in answers)
            asked = upstream.log.read_text().count(f'GET /v2/lib/app/blobs/{digest_of(layer)} HTTP/1.1" 200')
            assert asked == 1
            assert repository.get("missing").status == 404
            assert repository.call("POST", "blobs/uploads/").status == 405
            assert repository.call("GET", "tags/list").json()["tags"] == ["latest"]
            upstream.stop()
            assert repository.get("latest").json() == manifest
            assert repository.call("GET", f"blobs/{digest_of(layer)}").body == layer
            assert repository.get("other").status == 503
            assert "registry_proxy_misses_total" in _debug(cache, "/metrics")[1]
