"""Mirrors, TLS, insecure registries and proxies, at work."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from support.hostile_registry import Answer, HostileRegistry, error
from unit.transfer.remote.reading import descriptor_of, name_at, read_all
from wherry.lib.errors import Internal, InvalidArgument
from wherry.oci.reference import parse_reference
from wherry.transfer.remote import Credentials
from wherry.transfer.remote.insecure import Insecure
from wherry.transfer.remote.mirrors import parse_mirrors
from wherry.transfer.remote.proxies import Proxies

SECURE = Insecure(networks=())
"""Not even loopback may be plain."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    root = tmp_path_factory.mktemp("tls")
    pair = str(root / "cert.pem"), str(root / "key.pem")
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [
            "openssl",
            "req",
            *options.split(),
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-out",
            pair[0],
            "-keyout",
            pair[1],
        ],
        check=True,
        capture_output=True,
    )
    return pair


@pytest.fixture
def secured(certificate):
    with HostileRegistry(tls=certificate) as served:
        served.add_image("team/app", "latest", [b"x"])
        yield served


def mirrored(*mirrors, **settings):
    return {"mirrors": parse_mirrors(mirrors), **settings}


def test_a_mirror_serves_without_the_registry_being_asked(registry, client):
    registry.add_image("library/busybox", "latest", [b"x"])
    registries = client(**mirrored(registry.url))
    assert registries.open(parse_reference("busybox:latest"), None).manifest("latest").raw


@pytest.mark.parametrize(
    "failure", [Answer(500), error(404, "MANIFEST_UNKNOWN", "x"), error(429, "TOOMANYREQUESTS", "x")]
)
def test_a_mirror_that_fails_is_passed_over(registry, client, failure):
    with HostileRegistry() as mirror:
        registry.add_image("team/app", "latest", [b"x"])
        mirror.on("GET", r"/v2/team/.*", failure)
        registries = client(**mirrored("https://127.0.0.1:1", f"{registry.host}={mirror.url}"))
        told = []
        one = registries.open(name_at(registry), None, report=told.append)
        assert one.manifest("latest").raw
        assert read_all(one.blob(descriptor_of(registry, b"data"))) == b"data"
        assert len(mirror.seen("GET", ".*/team/.*")) == 2
        assert f"Attempting next endpoint after error at {mirror.url}/" in told[0]


def test_a_mirror_for_a_part_of_a_registry(registry, client):
    registry.add_image("copy/app", "latest", [b"x"])
    registries = client(**mirrored(f"quay.io/team={registry.url}/copy"))
    assert registries.open(parse_reference("quay.io/team/app:latest"), None).manifest("latest").raw


def test_a_mirror_gets_no_credentials_of_the_registry(client):
    """They are the registry's, and the mirror is someone else."""
    with HostileRegistry() as mirror, HostileRegistry(basic=("me", "secret")) as registry:
        registry.add_image("team/app", "latest", [b"x"])
        registries = client(**mirrored(f"{registry.host}={mirror.url}"))
        assert registries.open(name_at(registry), Credentials("me", "secret")).manifest("latest").raw
        assert mirror.seen("GET", ".*/manifests/.*")
        assert all("authorization" not in one.headers for one in mirror.seen())


def test_a_mirror_gets_its_own_credentials(client):
    with HostileRegistry(basic=("me", "secret")) as mirror:
        mirror.add_image("team/app", "latest", [b"x"])
        registries = client(**mirrored(f"quay.io={mirror.url}"))
        own = Credentials("me", "secret", server_address=mirror.host)
        assert registries.open(parse_reference("quay.io/team/app:latest"), own).manifest("latest").raw


def test_plain_http_is_for_those_who_may(registry, client):
    registry.add_image("team/app", "latest", [b"x"])
    with pytest.raises(
        Internal, match=rf'^Get "https://{registry.host}/v2/": http: server gave HTTP response to HTTPS'
    ):
        client(insecure=SECURE).open(name_at(registry), None).manifest("latest")
    assert client().open(name_at(registry), None).manifest("latest").raw


def test_an_unknown_certificate(secured, client):
    words = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    with pytest.raises(Internal, match=rf'^Get "{secured.url}/v2/": {words}$'):
        client(insecure=SECURE).open(name_at(secured), None).manifest("latest")
    assert client().open(name_at(secured), None).manifest("latest").raw


def test_a_certificate_of_certs_d(secured, client, certificate, tmp_path):
    directory = tmp_path / secured.host
    directory.mkdir()
    shutil.copy(certificate[0], directory / "ca.crt")
    registries = client(insecure=SECURE, certs_dirs=(tmp_path,))
    one = registries.open(name_at(secured), None)
    assert one.manifest("latest").raw
    assert read_all(one.blob(descriptor_of(secured, b"data" * 100_000))) == b"data" * 100_000


def test_files_of_certs_d_that_do_not_fit_together(secured, client, tmp_path):
    directory = tmp_path / secured.host
    directory.mkdir()
    (directory / "client.cert").touch()
    registries = client(insecure=SECURE, certs_dirs=(tmp_path,))
    words = "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt"
    with pytest.raises(InvalidArgument, match=re.escape(words)):
        registries.open(name_at(secured), None).manifest("latest")
    (directory / "client.cert").rename(directory / "client.key")
    with pytest.raises(InvalidArgument, match="missing client certificate client.cert for key client.key"):
        registries.open(name_at(secured), None).manifest("latest")


def test_from_https_no_way_leads_to_http(secured, client, certificate, tmp_path):
    (tmp_path / secured.host).mkdir()
    shutil.copy(certificate[0], tmp_path / secured.host / "ca.crt")
    with HostileRegistry() as plain:
        data = descriptor_of(plain, b"data")
        secured.on("GET", ".*/blobs/.*", Answer(307, b"", {"Location": f"{plain.url}/v2/x/blobs/{data.digest}"}))
        registries = client(insecure=SECURE, certs_dirs=(tmp_path,))
        with pytest.raises(Internal, match="refusing to follow a redirect from https to http"):
            read_all(registries.open(name_at(secured), None).blob(data))
        assert plain.seen() == []


def test_an_upload_by_tls(secured, client, tmp_path):
    data = b"data" * 700_000
    (tmp_path / "blob").write_bytes(data)
    one = client().open(name_at(secured), None, push=True)
    told = []
    with (tmp_path / "blob").open("rb") as file:
        one.upload(descriptor_of(secured, data).digest, len(data), file, told.append)
    assert told[-1] == len(data)


def test_a_proxy_for_plain_http(registry, client):
    """RFC 9112, 3.2.2: the whole URL is asked of the proxy."""
    settings = {
        "proxies": Proxies(http=f"http://me:pw@{registry.host}"),
        "insecure": Insecure(frozenset({"reg.invalid"})),
    }
    registry.on("GET", r"http://reg\.invalid/v2/.*", Answer(200, b'{"schemaVersion":2}'))
    found = client(**settings).open(parse_reference("reg.invalid/a:b"), None)
    assert found.manifest("b").raw == b'{"schemaVersion":2}'
    assert registry.seen("GET", "http://.*")[0].headers["proxy-authorization"] == "Basic bWU6cHc="


def test_a_proxy_that_refuses_a_tunnel(registry, client):
    """RFC 9110, 9.3.6."""
    settings = {"proxies": Proxies(https=registry.url)}
    with pytest.raises(Internal, match=r'^Get "https://reg.invalid/v2/": '):
        client(**settings).open(parse_reference("reg.invalid/a:b"), None).manifest("b")


def test_nobody_there(client):
    with pytest.raises(Internal) as told:
        client().open(parse_reference("127.0.0.1:1/a:b"), None).manifest("b")
    assert told.value.message == 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'


def test_no_such_host(client):
    with pytest.raises(Internal, match=r'^Get "https://reg.invalid/v2/": dial tcp: lookup reg.invalid'):
        client().open(parse_reference("reg.invalid/a:b"), None).manifest("b")
