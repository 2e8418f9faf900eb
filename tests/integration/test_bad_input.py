"""What is wrong in a request or an archive is refused with Docker's status and words (Bad input)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from support import images
from support.daemons import Daemon
from support.http import connect, exchange

JSON_POST = b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"


def post(daemon: Daemon, url: str, body: bytes, kind: str = "application/json"):
    return daemon.api("POST", url, body, headers={"Content-Type": kind})


# --- requests


@pytest.mark.parametrize(
    "body",
    [b"{", b"not json", b"[]", b'"text"', b'{"Image": 5}', b'{"Cmd": {"a": 1}}', b'{"HostConfig": []}', b"\xff\xfe"],
)
def test_malformed_json_and_wrong_types(daemon: Daemon, body: bytes) -> None:
    """400 with a message; nothing is created."""
    answer = post(daemon, "/containers/create", body)
    assert answer.status in {400, 500} if daemon.kind == "dockerd" else answer.status == 400, answer.body
    assert answer.message
    assert daemon.api("GET", "/containers/json?all=1").json() == []


def test_an_empty_body(daemon: Daemon) -> None:
    answer = post(daemon, "/containers/create", b"")
    assert answer.status in {400, 500} if daemon.kind == "dockerd" else answer.status == 400
    assert answer.message


def test_a_body_that_is_not_declared_json(daemon: Daemon) -> None:
    answer = post(daemon, "/containers/create", b'{"Image":"busybox"}', "text/plain")
    assert answer.status in {400, 415} if daemon.kind != "dockerd" else answer.status >= 400
    assert "application/json" in answer.message


def test_unknown_fields_are_ignored(daemon: Daemon) -> None:
    answer = post(daemon, "/containers/create", b'{"Image":"busybox","Colour":"red","HostConfig":{"Future":{"x":[1]}}}')
    assert answer.status == 201


def test_field_names_ignore_case(daemon: Daemon) -> None:
    """Go's decoder takes any case; clients rely on it."""
    answer = post(daemon, "/containers/create", b'{"image":"busybox","cmd":["true"]}')
    assert answer.status == 201
    assert daemon.inspect(answer.json()["Id"])["Config"]["Cmd"] == ["true"]


def test_a_command_may_be_text(daemon: Daemon) -> None:
    """Cmd and Entrypoint may be one string instead of a list."""
    answer = post(daemon, "/containers/create", b'{"Image":"busybox","Cmd":"true"}')
    assert answer.status == 201
    assert daemon.inspect(answer.json()["Id"])["Config"]["Cmd"] == ["true"]


@pytest.mark.parametrize("name", ["a", "with space", "-dash", "sl/ash", "é", "a" * 2 + "\n"])
def test_a_bad_container_name(daemon: Daemon, name: str) -> None:
    answer = daemon.api("POST", f"/containers/create?name={quote(name, safe='')}", {"Image": "busybox"})
    assert answer.status == 400
    assert "Invalid container name" in answer.message


@pytest.mark.parametrize("image", ["UPPER", "a//b", "busybox:", "busybox@sha256:123", "-x", "a b", "../x"])
def test_a_bad_reference(daemon: Daemon, image: str) -> None:
    answer = daemon.api("POST", "/containers/create", {"Image": image})
    assert answer.status in {400, 404}
    assert (
        "invalid reference format" in answer.message
        or "repository name must be lowercase" in answer.message
        or "No such image" in answer.message
    )


def test_an_unknown_image(daemon: Daemon) -> None:
    answer = daemon.api("POST", "/containers/create", {"Image": "no/such:thing"})
    assert (answer.status, answer.message) == (404, "No such image: no/such:thing")


@pytest.mark.parametrize(
    "bindings",
    [
        {"80/tcp": [{"HostPort": "high"}]},
        {"80/tcp": [{"HostPort": "70000"}]},
        {"80/tcp": [{"HostPort": "90-80"}]},
        pytest.param(
            {"80/carrier": [{"HostPort": "80"}]}, marks=pytest.mark.ours
        ),  # the reference starts it unpublished
        {"x/tcp": [{"HostPort": "80"}]},
        pytest.param({"80/tcp": [{"HostIp": "not-an-ip", "HostPort": "80"}]}, marks=pytest.mark.ours),
    ],
)
def test_a_bad_port(daemon: Daemon, bindings: dict) -> None:
    """Refused at create or at the latest at start, with nothing bound."""
    answer = daemon.api("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"PortBindings": bindings}})
    if answer.status == 201:
        answer = daemon.api("POST", f"/containers/{answer.json()['Id']}/start")
    assert 400 <= answer.status <= 500
    assert answer.message


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"Memory": 1024}, "Minimum memory limit allowed is"),
        ({"NetworkMode": "container:nobody"}, "No such container: nobody"),
        ({"RestartPolicy": {"Name": "sometimes"}}, "invalid restart policy"),
        ({"RestartPolicy": {"Name": "no", "MaximumRetryCount": 3}}, "maximum retry count"),
        (
            {"AutoRemove": True, "RestartPolicy": {"Name": "always"}},
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"CapAdd": ["CAP_FLYING"]}, "CAP_FLYING"),
        ({"IpcMode": "sideways"}, "sideways"),
        ({"NanoCpus": 10**15}, "CPUs"),
        ({"Sysctls": {"kernel.hostname": "x"}}, "kernel.hostname"),
        ({"Tmpfs": {"/t": "size=huge"}}, "/t"),
    ],
)
def test_a_bad_host_configuration(daemon: Daemon, host: dict, words: str) -> None:
    """Refused by create or start with words that name the option."""
    answer = daemon.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": host})
    if answer.status == 201:
        answer = daemon.api("POST", f"/containers/{answer.json()['Id']}/start")
    assert 400 <= answer.status <= 500, answer.body
    assert words.lower() in answer.message.lower()


@pytest.mark.parametrize("query", ["t=soon", "t=1e3"])
def test_a_bad_number(daemon: Daemon, query: str) -> None:
    name = daemon.out("create", "busybox")
    answer = daemon.api("POST", f"/containers/{name}/stop?{query}")
    assert answer.status in ({400, 500} if daemon.kind == "dockerd" else {400})


def test_a_bad_signal(daemon: Daemon) -> None:
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sleep", "60")
    answer = daemon.api("POST", f"/containers/{name}/kill?signal=WAVE")
    assert answer.status in ({400, 500} if daemon.kind == "dockerd" else {400})
    assert "signal: wave" in answer.message.lower()


@pytest.mark.ours  # the reference waits as if nothing had been said
def test_a_bad_wait_condition(daemon: Daemon) -> None:
    name = daemon.out("create", "busybox")
    answer = daemon.api("POST", f"/containers/{name}/wait?condition=bored")
    assert answer.status == 400
    assert "bored" in answer.message


# --- HTTP itself


def test_a_huge_header_is_refused(daemon: Daemon) -> None:
    """431 or a closed connection, and the daemon goes on."""
    answer = exchange(daemon.socket, b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-Big: " + b"x" * 3_000_000 + b"\r\n\r\n")
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert daemon.api("GET", "/_ping").status == 200


@pytest.mark.ours  # the reference takes a body of any size into memory
def test_a_huge_body_is_refused(daemon: Daemon) -> None:
    body = b'{"Image":"busybox","Env":["' + b"x" * (64 << 20) + b'"]}'
    head = JSON_POST.replace(b"volumes", b"containers") + b"Content-Length: %d\r\n\r\n" % len(body)
    answer = exchange(daemon.socket, head + body)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
    assert daemon.api("GET", "/_ping").status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /_ping\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: many\r\n\r\n",
        b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n",
        JSON_POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        bytes(range(256)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
    ],
)
def test_what_is_not_http_is_refused(daemon: Daemon, request_bytes: bytes) -> None:
    answer = exchange(daemon.socket, request_bytes, timeout=2)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 505"))
    assert daemon.api("GET", "/_ping").status == 200


def test_a_body_shorter_than_promised(daemon: Daemon) -> None:
    """A client that hangs up in the middle of a body leaves nothing."""
    with connect(daemon.socket) as sock:
        sock.sendall(JSON_POST + b'Content-Length: 500\r\n\r\n{"Name":"half"')
    assert daemon.out("volume", "ls", "-q") == ""


@pytest.mark.ours
def test_contradicting_lengths_are_refused(daemon: Daemon) -> None:
    """Content-Length twice, or beside chunked: the seed of request smuggling."""
    for extra in (
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    ):
        answer = exchange(
            daemon.socket,
            b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n" + extra + b"\r\n{}",
        )
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


# --- archives


def loaded(daemon: Daemon, archive: bytes) -> tuple[bool, str]:
    """Whether load took it, and everything it said."""
    done = daemon.docker("load", input=archive, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def manifest(config: bytes, *layers: bytes, **more: object) -> dict[str, bytes]:
    return {
        "manifest.json": json.dumps(
            [{"Config": "c.json", "RepoTags": ["bad:1"], "Layers": [f"l{n}.tar" for n, _ in enumerate(layers)], **more}]
        ).encode(),
        "c.json": config,
        **{f"l{number}.tar": layer for number, layer in enumerate(layers)},
    }


def packed(files: dict[str, bytes]) -> bytes:
    tar = images.Tar()
    for name, data in files.items():
        tar.add(name, data)
    return tar.bytes()


def evil_layers() -> dict[str, Callable[[images.Tar], None]]:
    def escape(tar: images.Tar) -> None:
        tar.add("../../../../../../tmp/wherry-escaped", b"x")

    def absolute(tar: images.Tar) -> None:
        tar.add("/tmp/wherry-escaped", b"x")

    def through_link(tar: images.Tar) -> None:
        tar.link("door", "/tmp")
        tar.add("door/wherry-escaped", b"x")

    def hard_link(tar: images.Tar) -> None:
        tar.add("stolen", kind=b"1", linkname="../../../../../../etc/shadow")

    def hard_link_through_link(tar: images.Tar) -> None:
        tar.link("door", "/etc")
        tar.add("stolen", kind=b"1", linkname="door/shadow")

    def whiteout_above(tar: images.Tar) -> None:
        tar.add("a/../../.wh.etc", b"")

    return {
        item.__name__: item
        for item in (escape, absolute, through_link, hard_link, hard_link_through_link, whiteout_above)
    }


@pytest.mark.parametrize("kind", evil_layers())
def test_a_layer_cannot_reach_outside(daemon: Daemon, busybox_layer: bytes, kind: str) -> None:
    """S9: refused, or unpacked inside the root; never a file outside, nor one of the machine's inside."""
    tar = images.Tar()
    evil_layers()[kind](tar)
    canary = Path("/tmp/wherry-escaped")
    taken, _ = loaded(daemon, images.docker_archive(["evil:1"], [busybox_layer, tar.bytes()]))
    if taken:
        printed = daemon.docker("run", "--rm", "--network", "none", "evil:1", "cat", "/stolen", check=False).stdout
        assert "root:" not in printed
        daemon.docker("rmi", "-f", "evil:1")
    assert not canary.exists()
    assert Path("/etc/shadow").exists()


def test_a_truncated_archive(daemon: Daemon, busybox_tar: bytes, busybox_layer: bytes) -> None:
    """Cut at several places: an error, and no image."""
    whole = images.docker_archive(["cut:1"], [busybox_layer, images.small_layer(cut="1")])
    for size in (0, 100, 512, 5000, len(whole) // 2, len(whole) - 12_000):
        taken, _ = loaded(daemon, whole[:size])
        if size > 1024:
            assert not taken, f"an archive cut at {size} of {len(whole)} was taken"
        assert daemon.out("images", "-q", "cut") == ""


def test_a_truncated_gzip(daemon: Daemon, busybox_layer: bytes) -> None:
    whole = gzip.compress(images.docker_archive(["cut:1"], [busybox_layer]))
    assert not loaded(daemon, whole[: len(whole) // 2])[0]


def test_noise_is_no_archive(daemon: Daemon) -> None:
    taken, words = loaded(daemon, bytes(range(256)) * 100)
    assert not taken
    assert words


def test_a_lying_digest(daemon: Daemon, busybox_layer: bytes) -> None:
    """The configuration promises a layer that the archive does not hold: refused, no tag."""
    config = images.config_of([busybox_layer])
    config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
    taken, _ = loaded(daemon, packed(manifest(json.dumps(config).encode(), busybox_layer)))
    assert not taken
    assert daemon.out("images", "-q", "bad") == ""


@pytest.mark.parametrize(
    "change",
    [
        {"Layers": ["../../../etc/passwd"]},
        {"Layers": ["missing.tar"]},
        {"Config": "missing.json"},
        {"Config": "../../etc/passwd"},
        {"Layers": []},
        {"RepoTags": ["NOT A REFERENCE"]},
        {"Layers": "l0.tar"},
    ],
)
def test_a_manifest_that_lies(daemon: Daemon, change: dict) -> None:
    layer = images.small_layer(lie=repr(change))  # not one that the daemon has already and would not read again
    config = json.dumps(images.config_of([layer])).encode()
    files = manifest(config, layer)
    entry = json.loads(files["manifest.json"])[0] | change
    taken, words = loaded(daemon, packed({**files, "manifest.json": json.dumps([entry]).encode()}))
    assert not taken
    assert "root:" not in words
    assert daemon.out("images", "-q", "bad") == ""


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[[]]", b'[{"Config": 7}]'])
def test_a_manifest_that_is_none(daemon: Daemon, text: bytes) -> None:
    tar = images.Tar()
    tar.add("manifest.json", text)
    taken, _ = loaded(daemon, tar.bytes())
    assert not taken


def test_a_config_for_another_system(daemon: Daemon, busybox_layer: bytes) -> None:
    config = images.config_of([busybox_layer]) | {"os": "plan9"}
    taken, words = loaded(daemon, packed(manifest(json.dumps(config).encode(), busybox_layer)))
    assert not taken
    if daemon.kind == "wherryd":  # the reference breaks off without a word
        assert "plan9" in words


def test_import_of_noise(daemon: Daemon) -> None:
    done = daemon.docker("import", "-", "noise:1", input=b"this is no tar" * 1000, check=False)
    assert done.returncode == 1
    assert daemon.out("images", "-q", "noise") == ""


def test_tag_with_a_bad_name(daemon: Daemon) -> None:
    for target in ("UPPER", "a:b:c", "a/" * 200 + "x"):
        answer = daemon.api("POST", f"/images/busybox/tag?repo={target}&tag=1")
        assert answer.status in ({400, 500} if daemon.kind == "dockerd" else {400})
