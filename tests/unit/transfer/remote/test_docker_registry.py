"""The client against Docker's own registry: what we believe of the specification is what it does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import textwrap

import pytest

from support.commands import eventually
from unit.transfer.remote.reading import read_all
from wherry.lib.errors import NotFound
from wherry.oci.digest import digest_of
from wherry.oci.manifest import OCI_MANIFEST, Descriptor
from wherry.oci.reference import parse_reference

DATA = os.urandom(5_000_000)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    root = tmp_path_factory.mktemp("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    (root / "config.yml").write_text(
        textwrap.dedent(f"""\
            version: 0.1
            log: {{level: error}}
            storage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}
            http: {{addr: "127.0.0.1:{number}", relativeurls: true}}
            """)
    )
    with open(root / "log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(root / "config.yml")], stdout=log, stderr=log)
    try:
        eventually("docker-registry listens", lambda: _listens(number))
        yield number
    finally:
        process.kill()
        process.wait()


def _listens(number):
    try:
        socket.create_connection(("127.0.0.1", number), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def opened(port, client):
    def make(path, **options):
        return client().open(parse_reference(f"127.0.0.1:{port}/{path}:latest"), None, **options)

    return make


def test_there_and_back(opened, tmp_path):
    (tmp_path / "blob").write_bytes(DATA)
    one = opened("team/app", push=True)
    digest = digest_of(DATA)
    assert not one.has_blob(digest)
    with (tmp_path / "blob").open("rb") as file:
        one.upload(digest, len(DATA), file, lambda _: None)
    assert one.has_blob(digest)
    assert read_all(opened("team/app").blob(Descriptor(digest=digest, size=len(DATA)), offset=17)) == DATA[17:]


def test_a_stream(opened):
    one = opened("team/streamed", push=True)
    digest, size = one.upload_stream([DATA[:1_000_000], DATA[1_000_000:]], lambda _: None)
    assert (digest, size) == (digest_of(DATA), len(DATA))
    assert read_all(one.blob(Descriptor(digest=digest, size=size))) == DATA
    other = opened("team/mounted", push=True)
    assert other.mount_blob(digest, one.name)
    assert other.has_blob(digest)
    assert not other.mount_blob(digest_of(b"nothing"), one.name)


def test_manifests_and_tags(opened):
    one = opened("team/tagged", push=True)
    config, _ = one.upload_stream([b"{}"], lambda _: None)
    raw = (
        f'{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1'
        f'+json","digest":"{config}","size":2}},"layers":[]}}'
    ).encode()
    digest = one.put_manifest("latest", OCI_MANIFEST, raw)
    one.put_manifest("second", OCI_MANIFEST, raw)
    assert digest == digest_of(raw)
    found = opened("team/tagged")
    assert (found.manifest("latest").raw, found.manifest("latest", head=True).digest) == (raw, digest)
    assert sorted(found.tags()) == ["latest", "second"]
    one.delete_manifest(digest)
    with pytest.raises(
        NotFound, match=r"^manifest for 127\.0\.0\.1:\d+/team/tagged:latest not found: manifest unknown: "
    ):
        found.manifest("latest")
