"""The server as a whole: what is kept when it is killed, many clients, orderly ends, settings that change answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from distribution.client import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Client,
    descriptor,
    digest_of,
    encode,
)
from registry.ours import Ours, read_all
from support.commands import eventually, find, run
from support.registries import Registry

MIB = 1024 * 1024


class Docker(Registry):
    """Debian's ``docker-registry``."""

    def __init__(self, root: Path) -> None:
        program = find("docker-registry")
        if program is None:
            pytest.skip("needs Debian's docker-registry")
        super().__init__()
        self._program = [program, "serve"]
        self.storage = root


# --- the storage


def test_storage_of_dockers_registry_is_served_by_ours_and_back() -> None:
    """What either has stored, the other serves, changes and deletes."""
    with Ours() as ours:
        ours.stop()
        with Docker(ours.storage) as docker:
            theirs = Client(docker.url).repository("lib/theirs")
            first = theirs.push_image("v1", "theirs")
            half = theirs.chunk(theirs.begin(), b"half of ", 0).location
            docker.stop()

            ours.start()
            same = ours.repository("lib/theirs")
            assert same.get("v1").body == first
            for one in [json.loads(first)["config"], *json.loads(first)["layers"]]:
                assert digest_of(same.call("GET", f"blobs/{one['digest']}").body) == one["digest"]
            assert ours.client.call("GET", "/v2/_catalog").json() == {"repositories": ["lib/theirs"]}
            identifier = half.partition("?")[0].rpartition("/")[2]
            rest = f"{ours.url}/v2/lib/theirs/blobs/uploads/{identifier}"
            assert same.put(rest, digest_of(b"half of it"), b"it").status == 201
            second = same.push_image("v2", "ours")
            listed = same.image("refers", subject=descriptor(second, OCI_MANIFEST))
            assert same.push("", listed).status == 201
            ours.stop()

            docker.start()
            assert theirs.get("v2").body == second
            assert sorted(theirs.call("GET", "tags/list").json()["tags"]) == ["v1", "v2"]
            assert theirs.call("GET", f"blobs/{digest_of(b'half of it')}").body == b"half of it"
            assert theirs.call("DELETE", f"manifests/{digest_of(first)}").status == 202
            third = theirs.push_image("v3", "theirs again")
            docker.stop()

            ours.start()
            assert same.get("v1").status == 404
            assert same.get("v3").body == third
            found = same.call("GET", f"referrers/{digest_of(second)}").json()["manifests"]
            assert [one["digest"] for one in found] == [digest_of(encode(listed))]


def test_killed_during_an_upload() -> None:
    """kill -9 in the middle of a blob: no blob is torn, and the upload goes on where it was."""
    data = os.urandom(12 * MIB)
    with Ours() as registry:
        repository = registry.repository("killed")
        location = repository.chunk(repository.begin(), data[: 5 * MIB], 0).location
        path = location.removeprefix(registry.url)
        with registry.connection() as sock:
            length = len(data) - 5 * MIB
            head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
            sock.sendall(head + data[5 * MIB : 9 * MIB])
            upload = registry.storage / f"docker/registry/v2/repositories/killed/_uploads/{path.rpartition('/')[2]}"
            eventually("some of it is written", lambda: (upload / "data").stat().st_size > 6 * MIB)
            registry.stop()
        assert not list((registry.storage / "docker/registry/v2").glob("blobs/*/*/*/data"))

        registry.start()
        location = f"{registry.url}{path}"
        state = registry.client.call("GET", location)
        assert state.status == 204
        held = int(state.headers["range"].partition("-")[2]) + 1
        assert 5 * MIB < held <= 9 * MIB
        last = repository.chunk(location, data[held:], held)
        assert repository.put(last.location, digest_of(data)).status == 201
        assert repository.call("GET", f"blobs/{digest_of(data)}").body == data


def test_killed_at_any_moment() -> None:
    """kill -9 during pushes, six times: every blob is whole, every tag leads to an image whose parts are there."""
    with Ours() as registry:
        for turn in range(6):
            told: list[str] = []
            pushers = [threading.Thread(target=_push_on, args=(registry, f"{turn}-{one}", told)) for one in range(3)]
            for pusher in pushers:
                pusher.start()
            time.sleep(random.uniform(0.02, 0.3))
            registry.stop()
            for pusher in pushers:
                pusher.join()
            for path in (registry.storage / "docker/registry/v2/blobs").glob("*/*/*/data"):
                assert digest_of(path.read_bytes()) == f"sha256:{path.parent.name}"
            registry.start()
            repository = registry.repository("killed")
            tags = repository.call("GET", "tags/list").json().get("tags", [])
            assert set(told) <= set(tags), "what was told to be there is there"
            for tag in tags:
                answer = repository.get(tag)
                assert answer.status == 200
                manifest = answer.json()
                for one in [manifest["config"], *manifest["layers"]]:
                    assert repository.call("HEAD", f"blobs/{one['digest']}").headers["content-length"] == str(
                        one["size"]
                    )


def _push_on(registry: Ours, name: str, told: list[str]) -> None:
    """Push one image after the other until the registry is gone; tags that were answered for go into ``told``."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        for number in range(1000):
            registry.repository("killed").push_image(f"{name}-{number}", f"{name}-{number}")
            told.append(f"{name}-{number}")


def test_two_push_the_same_blob_at_once() -> None:
    """Many clients that push one blob into several repositories all succeed, and it is whole."""
    data = os.urandom(3 * MIB)
    with Ours() as registry, ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: registry.repository(f"same/{number % 3}").push_blob(data), range(12)))
        for number in range(3):
            assert registry.repository(f"same/{number}").call("GET", f"blobs/{digest_of(data)}").body == data
        assert not [name for name in registry.files() if "_uploads" in name or ".staging" in name]


def test_64_clients_pull_at_once() -> None:
    """All of them get the whole blob."""
    data = os.urandom(3 * MIB)
    with Ours() as registry, ThreadPoolExecutor(64) as pool:
        registry.repository("many").push_blob(data)
        path = f"blobs/{digest_of(data)}"
        found = pool.map(lambda _: digest_of(registry.repository("many").call("GET", path).body), range(64))
        assert set(found) == {digest_of(data)}


def test_full_disk(tmp_path: Path) -> None:
    """A full storage is told to the client; what is there can still be had, and goes on once there is room."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    run("mount", "-t", "tmpfs", "-o", "size=4m", "none", str(tmp_path))
    try:
        with Ours(settings={"storage": {"filesystem": {"rootdirectory": str(tmp_path)}}}) as registry:
            repository = registry.repository("full")
            repository.push_blob(b"small")
            location = repository.begin()
            answer = repository.put(location, digest_of(b"x" * 8 * MIB), b"x" * 8 * MIB)
            assert (answer.status, answer.codes) == (503, ["UNAVAILABLE"])
            assert "no space left" in answer.body.decode()
            assert repository.call("GET", f"blobs/{digest_of(b'small')}").body == b"small"
            assert registry.client.call("DELETE", location).status == 204
            repository.push_blob(b"x" * MIB)
    finally:
        run("umount", str(tmp_path))


# --- ends


def test_sigterm_lets_a_pull_end() -> None:
    """Told to stop, it finishes what is under way, ends idle connections, takes no new ones, and exits 0."""
    data = os.urandom(32 * MIB)
    with Ours() as registry:
        registry.repository("drain").push_blob(data)
        idle = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=20)
        idle.request("GET", "/v2/")
        idle.getresponse().read()
        with registry.connection() as sock:
            sock.sendall(f"GET /v2/drain/blobs/{digest_of(data)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got = sock.recv(1000, socket.MSG_WAITALL)
            codes: list[int] = []
            ending = threading.Thread(target=lambda: codes.append(registry.terminate()))
            ending.start()
            eventually("it is told", lambda: "received SIGTERM" in registry.log.read_text())
            got += read_all(sock)
            ending.join()
        assert got.endswith(data)
        assert codes == [0]
        idle.close()


def test_a_stalled_client_does_not_hold_the_end_up() -> None:
    """After ``http.draintimeout`` what is left is cut."""
    data = os.urandom(64 * MIB)
    with Ours(settings={"http": {"addr": "127.0.0.1:0", "draintimeout": "300ms"}}) as registry:
        registry.repository("stall").push_blob(data)
        with registry.connection() as sock:
            sock.sendall(f"GET /v2/stall/blobs/{digest_of(data)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            sock.recv(1000, socket.MSG_WAITALL)
            assert registry.terminate() == 0


def test_process_1_of_a_container() -> None:
    """As process 1 of a pid namespace it stops on SIGTERM and reaps what is left to it."""
    if os.geteuid() != 0 or find("unshare") is None:
        pytest.skip("needs root and unshare")
    before = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    with Ours(before=before) as registry:
        registry.repository("one").push_blob(b"x")
        inner = int(Path(f"/proc/{registry.pid}/task/{registry.pid}/children").read_text().split()[0])
        # A shell that ends at once leaves its child to process 1.
        run("nsenter", "-t", str(inner), "-p", "sh", "-c", "sleep 0.2 & exit 0")
        eventually("the orphan is reaped", lambda: not _children(inner))
        os.kill(inner, signal.SIGTERM)
        assert registry._process is not None
        assert registry._process.wait(15) == 0
        registry._process = None


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()


# --- settings


def _with(**sections: Any) -> Ours:
    return Ours(settings=sections)


def test_deletion_is_off_by_default() -> None:
    """Without ``storage.delete.enabled`` nothing is deleted: 405 UNSUPPORTED."""
    settings = {"storage": {"filesystem": {"rootdirectory": "/tmp/nothing"}}}
    with Ours(settings=settings) as registry:
        settings["storage"]["filesystem"]["rootdirectory"] = str(registry.storage)
        registry.stop()
        registry.start()
        raw = registry.repository("keep").push_image("v1")
        for path in ("manifests/v1", f"manifests/{digest_of(raw)}", f"blobs/{json.loads(raw)['config']['digest']}"):
            answer = registry.repository("keep").call("DELETE", path)
            assert (answer.status, answer.codes) == (405, ["UNSUPPORTED"])
        assert registry.repository("keep").get("v1").status == 200


def test_read_only() -> None:
    """``storage.maintenance.readonly``: pulls go on, pushes are 405."""
    with Ours() as registry:
        raw = registry.repository("ro").push_image("v1")
        registry.stop()
        root = {"rootdirectory": str(registry.storage)}
        registry._settings = {"storage": {"filesystem": root, "maintenance": {"readonly": {"enabled": True}}}}
        registry.start()
        assert registry.repository("ro").get("v1").body == raw
        assert registry.repository("ro").call("POST", "blobs/uploads/").codes == ["UNSUPPORTED"]


def test_locations() -> None:
    """Location headers name the host that was asked, what a proxy says, or no host at all."""
    with _with(
        http={"addr": "127.0.0.1:0", "prefix": "/sub/", "headers": {"X-Robots": ["none", "noindex"]}}
    ) as registry:
        client = registry.client
        answer = client.call("POST", "/sub/v2/a/blobs/uploads/", headers={"Host": "reg.example:1"})
        assert answer.location.startswith("http://reg.example:1/sub/v2/a/blobs/uploads/")
        assert answer.headers["x-robots"] == "none, noindex"
        proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "front.example"}
        answer = client.call("POST", "/sub/v2/a/blobs/uploads/", headers=proxied)
        assert answer.location.startswith("https://front.example/sub/v2/a/blobs/uploads/")
        assert client.call("GET", "/v2/").status == 404
        assert client.call("GET", "/sub/v2/").status == 200
    with _with(http={"addr": "127.0.0.1:0", "relativeurls": True}) as registry:
        assert registry.repository("a").begin().startswith("/v2/a/blobs/uploads/")


def test_accept() -> None:
    """A client that takes no index gets the image for linux/amd64 by tag, and is told what there is otherwise."""
    with Ours() as registry:
        repository = registry.repository("accept")
        child = repository.push_image("child", "accept")
        entry = {**descriptor(child, OCI_MANIFEST), "platform": {"os": "linux", "architecture": "amd64"}}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        assert repository.push("all", index).status == 201
        for accept, body in (
            ("*/*", encode(index)),
            (OCI_INDEX, encode(index)),
            (f"text/html, {OCI_INDEX};q=0.5", encode(index)),
            (OCI_MANIFEST, child),
        ):
            answer = repository.call("GET", "manifests/all", headers={"Accept": accept})
            assert (answer.status, answer.body) == (200, body), accept
            assert answer.headers["docker-content-digest"] == digest_of(body)
        assert repository.call("GET", "manifests/all").body == encode(index)
        answer = repository.call("GET", "manifests/all", headers={"Accept": DOCKER_MANIFEST})
        assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])
        assert OCI_INDEX in answer.body.decode()


def test_not_modified() -> None:
    """If-None-Match spares the body of a manifest and of a blob."""
    with Ours() as registry:
        repository = registry.repository("etag")
        raw = repository.push_image("v1", "etag")
        etag = repository.get("v1").headers["etag"]
        assert etag == f'"{digest_of(raw)}"'
        assert repository.call("GET", "manifests/v1", headers={"If-None-Match": etag}).status == 304
        blob = json.loads(raw)["config"]["digest"]
        answer = repository.call("GET", f"blobs/{blob}", headers={"If-None-Match": f'"{blob}"'})
        assert (answer.status, answer.body) == (304, b"")


def test_catalog_in_pages() -> None:
    """``_catalog`` is sorted, and paged by n, last and Link; n over ``catalog.maxentries`` is refused."""
    with _with(catalog={"maxentries": 3}) as registry:
        for name in ("b", "a/b", "a-b", "a/b/c", "a"):
            registry.repository(name).push_blob(name.encode())
        registry.repository("unfinished").begin()
        pages, where = [], "/v2/_catalog?n=2"
        while where:
            answer = registry.client.call("GET", where)
            pages.append(answer.json()["repositories"])
            where = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        assert pages == [["a", "a-b"], ["a/b", "a/b/c"], ["b"]]
        assert registry.client.call("GET", "/v2/_catalog?n=4").codes == ["PAGINATION_NUMBER_INVALID"]
        assert registry.client.call("GET", "/v2/_catalog?n=x").codes == ["PAGINATION_NUMBER_INVALID"]


def test_health(tmp_path: Path) -> None:
    """While a check fails every request is 503, and the debug address says which."""
    sick = tmp_path / "sick"
    settings = {
        "http": {"addr": "127.0.0.1:0", "debug": {"addr": "127.0.0.1:0"}},
        "health": {"storagedriver": {"enabled": True}, "file": [{"file": str(sick), "interval": "100ms"}]},
    }
    with Ours(settings=settings) as registry:
        port = registry.log.read_text().partition("debug server listening 127.0.0.1:")[2].split('"')[0]
        debug = Client(f"http://127.0.0.1:{port}")
        eventually("the registry listens", lambda: registry.client.call("GET", "/").status == 200)
        assert debug.call("GET", "/debug/health").json() == {}
        sick.touch()
        eventually("it is unwell", lambda: registry.client.call("GET", "/v2/").status == 503)
        assert list(debug.call("GET", "/debug/health").json()) == [str(sick)]
        sick.unlink()
        eventually("it is well", lambda: registry.client.call("GET", "/v2/").status == 200)


def test_access_log() -> None:
    """One line for each request, in Apache's combined form."""
    with Ours() as registry:
        registry.client.call("GET", "/v2/?a=b", headers={"User-Agent": 'te"st'})
        line = eventually(
            "the line", lambda: [one for one in registry.log.read_text().splitlines() if "/v2/?a=b" in one]
        )
        assert line[0].startswith("127.0.0.1 - - [")
        assert line[0].endswith('"GET /v2/?a=b HTTP/1.1" 200 2 "" "te\\"st"')


def test_unix_socket(tmp_path: Path) -> None:
    """``http.net: unix``."""
    path = tmp_path / "registry.sock"
    environment = {**os.environ, "REGISTRY_HTTP_NET": "unix", "REGISTRY_HTTP_ADDR": str(path)}
    argv = [sys.executable, "-m", "wherry.registry.main", "serve", "--root", str(tmp_path / "data")]
    with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            eventually("the socket is there", path.exists)
            time.sleep(0.05)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
                assert read_all(sock).startswith(b"HTTP/1.1 200 OK\r\n")
        finally:
            process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 0.2", "version 0.2 is not supported"),
        ("version: 0.1\nstorage: {filesystem: {}, s3: {}}", "exactly one storage type"),
        ("version: 0.1\nstorage: {swift: {}}", "'swift' is neither filesystem nor s3"),
        ("version: 0.1\nhttp: {addr: nonsense}", "'nonsense' is not host:port"),
        ("a: [", "configuration:"),
        ("version: 0.1\nlog: {level: loud}", "log.level"),
    ],
)
def test_bad_configuration(tmp_path: Path, text: str, words: str) -> None:
    """One line says what is wrong, and it exits 1."""
    (tmp_path / "config.yml").write_text(text)
    argv = [sys.executable, "-m", "wherry.registry.main", "serve", "--root", str(tmp_path / "data")]
    if "storage" in text:
        argv = argv[:-2]
    done = subprocess.run(
        [*argv, str(tmp_path / "config.yml")], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("wherry-registry: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
