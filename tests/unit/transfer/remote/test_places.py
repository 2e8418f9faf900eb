"""Mirrors, TLS, insecure registries and proxies, at work."""

from __future__ import annotations

import re
import select
import shutil
import socket
import ssl
import threading

import pytest

from support.hostile_registry import Answer, HostileRegistry, error, self_signed
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
    return self_signed(tmp_path_factory.mktemp("tls"))


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
    with pytest.raises(InvalidArgument, match=r"missing client certificate client\.cert for key client\.key"):
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


def test_a_tunnel_through_a_proxy(secured, client):
    """RFC 9110, 9.3.6: TLS is with the registry, not with the proxy, which learns no more than its name."""
    with Tunnel(secured.port) as proxy:
        settings = {"proxies": Proxies(https=f"http://me:pw@127.0.0.1:{proxy.port}")}
        registries = client(insecure=Insecure(frozenset({"reg.invalid"})), **settings)
        assert registries.open(parse_reference("reg.invalid/team/app:latest"), None).manifest("latest").raw
    assert proxy.head.startswith(b"CONNECT reg.invalid:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cHc=" in proxy.head


def test_a_certificate_of_our_own(secured, client, certificate, tmp_path):
    """client.cert and client.key of certs.d, for a registry that wants to know who asks."""
    secured.context.verify_mode = ssl.CERT_REQUIRED
    secured.context.load_verify_locations(certificate[0])
    directory = tmp_path / secured.host
    directory.mkdir()
    shutil.copy(certificate[0], directory / "ca.crt")
    registries = client(insecure=SECURE, certs_dirs=(tmp_path,))
    with pytest.raises(Internal):
        registries.open(name_at(secured), None).manifest("latest")
    shutil.copy(certificate[0], directory / "client.cert")
    shutil.copy(certificate[1], directory / "client.key")
    assert registries.open(name_at(secured), None).manifest("latest").raw


def test_nobody_there(client):
    with pytest.raises(Internal) as told:
        client().open(parse_reference("127.0.0.1:1/a:b"), None).manifest("b")
    assert told.value.message == 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'


def test_no_such_host(client):
    with pytest.raises(Internal, match=r'^Get "https://reg.invalid/v2/": dial tcp: lookup reg.invalid'):
        client().open(parse_reference("reg.invalid/a:b"), None).manifest("b")


class Tunnel:
    """A proxy that knows one way."""

    def __init__(self, to):
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.head = b""
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join()
        self._listener.close()

    def _serve(self):
        client, _ = self._listener.accept()
        with client, socket.create_connection(("127.0.0.1", self._to)) as registry:
            while b"\r\n\r\n" not in self.head:
                self.head += client.recv(4096)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            ways = {client: registry, registry: client}
            # Until the client has what it wants: it keeps the connection, and the test does not wait for that.
            while ready := select.select(list(ways), [], [], 0.5)[0]:
                for one in ready:
                    if not (data := one.recv(65536)):
                        return
                    ways[one].sendall(data)
